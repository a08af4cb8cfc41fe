/** Says what a fault will never meet, or cannot do, where it would do nothing and look like a passed test. */
import { EVERY } from './component.ts'
import { breaksStreams } from './fault.ts'
import type { Fault } from './fault.ts'
import { nearest } from './fields.ts'
import type { Decision, Rule } from './rule.ts'

/** What of a `Chaos` is needed here. */
interface Told {
  readonly openEnded: boolean
  components(): string[]
  warn(message: string): void
}

/** Names that nothing wrapped has; where more may come with their first call, only those that are nearly one that is there. */
export function warnOfUnknown(chaos: Told, names: Iterable<string>): void {
  const known = chaos.components()
  // Somebody who has wrapped nothing does not mean calls.
  if (known.length === 0) return
  for (const name of new Set(names)) {
    if (name === EVERY || known.includes(name)) continue
    const near = nearest(name, known)
    if (near === undefined && chaos.openEnded) continue
    const instead = near === undefined ? `there is ${listOf(known)}` : `did you mean ${near}?`
    chaos.warn(`there are faults for ${name}, but nothing that is wrapped has that name: ${instead}`)
  }
}

/** Rules that have warned. */
const warned = new WeakSet<Rule>()

/** A fault that was to change this answer has not, and the answer was not just empty. */
export function warnOfUnchanged(chaos: Told, { rule, counts }: Decision, answer: unknown): void {
  if (!counts || warned.has(rule) || rule.fault.mode === 'stale' || isEmpty(answer)) return
  warned.add(rule)
  chaos.warn(`${titleOf(rule.fault)} does nothing to ${rule.component}: ${whyUnchanged(rule.fault, answer)}`)
}

/** Whether it acts inside streams only. */
export function isForStreams(fault: Fault): boolean {
  return fault.mode === 'cut_stream' || breaksStreams(fault)
}

function whyUnchanged(fault: Fault, answer: unknown): string {
  const what = kindOf(answer)
  if (isForStreams(fault)) return `what it answers (${what}) is no stream`
  const look = `it finds nothing to change in what that answers (${what})`
  if (typeof Response !== 'undefined' && answer instanceof Response) return `${look}; wrapFetch looks into the body`
  return `${look}; it changes plain data (maps, lists, texts), not objects of a class: wrap a function that answers with that`
}

function titleOf({ fault_type: type, mode, stall_ms: stall, reset_after_items: reset }: Fault): string {
  if (stall !== undefined) return `${type} with stall_ms`
  return reset === undefined ? `${type} with mode ${mode}` : `${type} with reset_after_items`
}

function kindOf(answer: unknown): string {
  if (typeof answer !== 'object' || answer === null) return `a ${typeof answer}`
  const { name } = (Object.getPrototypeOf(answer) as { constructor?: { name?: unknown } } | null)?.constructor ?? {}
  return typeof name === 'string' && name !== '' ? name.slice(0, 100) : 'an object'
}

function isEmpty(answer: unknown): boolean {
  if (answer === undefined || answer === null || answer === '') return true
  if (answer instanceof Map || answer instanceof Set) return answer.size === 0
  if (Array.isArray(answer) || answer instanceof Uint8Array) return answer.length === 0
  return Object.getPrototypeOf(answer) === Object.prototype && Object.keys(answer).length === 0
}

const MOST_NAMES = 5

/** The first few of them. */
export function listOf(names: readonly string[]): string {
  const more = names.length - MOST_NAMES
  return names.slice(0, MOST_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
