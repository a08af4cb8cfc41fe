/** Text that ends too early: of an answer that is no text itself, its longest text, or its JSON. */
import type { Draws } from '../random.ts'
import { isPlain, leavesOf, withValue } from './leaves.ts'

export function truncate(root: unknown, draws: Draws): unknown {
  if (typeof root === 'string') return cut(root, draws)
  if (root instanceof Uint8Array) return root.length === 0 ? root : root.slice(0, draws.int(root.length))
  const texts = leavesOf(root).filter((leaf): leaf is typeof leaf & { value: string } => typeof leaf.value === 'string')
  const [longest] = texts.sort((a, b) => b.value.length - a.value.length)
  if (longest !== undefined && longest.value.length > 1) return withValue(root, longest.path, cut(longest.value, draws))
  const json = Array.isArray(root) || isPlain(root) ? (JSON.stringify(root) as string | undefined) : undefined
  return json === undefined ? root : cut(json, draws)
}

/** Somewhere in the second half, before the last character. */
function cut(text: string, draws: Draws): string {
  const half = Math.floor(text.length / 2)
  return text.slice(0, half + draws.int(text.length - half))
}
