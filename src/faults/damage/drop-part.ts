/** A part of an answer, as an incomplete one has it: order and what is left stay right. */
import type { Draws } from '../random.ts'
import { isPlain } from './leaves.ts'

/** `keep` is the fraction that is left; at least one item, field or character goes. */
export function dropPart(answer: unknown, keep: number, draws: Draws): unknown {
  if (typeof answer === 'string' || answer instanceof Uint8Array)
    return answer.length === 0 ? answer : answer.slice(0, Math.min(answer.length - 1, Math.floor(answer.length * keep)))
  if (Array.isArray(answer)) return answer.length === 0 ? answer : kept<unknown>(answer, keep, draws)
  if ((answer instanceof Set || answer instanceof Map) && answer.size === 0) return answer
  if (answer instanceof Set) return new Set(kept<unknown>([...(answer as Set<unknown>)], keep, draws))
  if (answer instanceof Map) return new Map(kept([...(answer as Map<unknown, unknown>)], keep, draws))
  if (!isPlain(answer) || Object.keys(answer).length === 0) return answer
  const names = new Set(kept(Object.keys(answer), keep, draws))
  return Object.fromEntries(Object.entries(answer).filter(([name]) => names.has(name)))
}

function kept<T>(list: readonly T[], keep: number, draws: Draws): readonly T[] {
  const count = Math.min(list.length - 1, Math.round(list.length * keep))
  const order = list.map((_, i) => i)
  for (let i = 0; i < count; i++) {
    const j = i + draws.int(order.length - i)
    ;[order[i], order[j]] = [order[j] ?? i, order[i] ?? j]
  }
  const stay = new Set(order.slice(0, Math.max(count, 0)))
  return list.filter((_, i) => stay.has(i))
}
