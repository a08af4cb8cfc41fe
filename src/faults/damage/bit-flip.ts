/** One bit of one value is wrong, as on a bad cable or disk. */
import type { Draws } from '../random.ts'
import { leavesOf, withValue } from './leaves.ts'

export function bitFlip(root: unknown, draws: Draws): unknown {
  const leaves = leavesOf(root).filter(({ value }) => hasBits(value))
  const leaf = leaves[draws.int(leaves.length)]
  return leaf === undefined ? root : withValue(root, leaf.path, flipped(leaf.value, draws))
}

function hasBits(value: unknown): boolean {
  if (typeof value === 'string' || value instanceof Uint8Array) return value.length > 0
  return typeof value === 'number' || typeof value === 'boolean'
}

function flipped(value: unknown, draws: Draws): unknown {
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return flippedNumber(value, draws)
  if (value instanceof Uint8Array) {
    const copy = value.slice()
    const at = draws.int(copy.length)
    copy[at] = (copy[at] ?? 0) ^ (1 << draws.int(8))
    return copy
  }
  const text = String(value)
  const at = draws.int(text.length)
  return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << draws.int(7))) + text.slice(at + 1)
}

/** A bit of the fraction: the number stays finite. */
function flippedNumber(value: number, draws: Draws): number {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  const at = 2 + draws.int(6)
  view.setUint8(at, view.getUint8(at) ^ (1 << draws.int(8)))
  return view.getFloat64(0)
}
