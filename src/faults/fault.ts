/** A FaultConfig checked and completed: inside the library nothing is asked twice. */
import { FAULT_MODES, FaultType } from './fault-type.ts'
import type { FaultConfig, FaultMode } from './fault-type.ts'
import { uselessFields } from './fields.ts'
import { knownToAllCopies } from './shared.ts'

/** Every default filled in; what has no default is undefined. */
export interface Fault {
  readonly fault_type: FaultType
  readonly probability: number
  readonly duration_ms: number | undefined
  readonly error_code: number | undefined
  readonly error_message: string | undefined
  readonly affected_components: readonly string[]
  readonly mode: FaultMode
  readonly retry_after_seconds: number | undefined
  readonly keep: number
  readonly keep_items: number
  readonly hold_bytes: number
  readonly slots: number
  readonly every_nth: number
  readonly first_n: number
  readonly burst: { readonly calls: number; readonly every: number } | undefined
  readonly window_ms: { readonly from: number; readonly until: number } | undefined
  readonly after_calls: number
  readonly after_ms: number
}

/** A FaultConfig or an experiment that cannot be meant; the message says what to write instead. */
export class FaultConfigError extends TypeError {
  override readonly name = 'FaultConfigError'
  /** The field that it is about, where it is about one. */
  readonly field: string | undefined

  constructor(message: string, field?: string) {
    super(message)
    this.field = field
  }
}
knownToAllCopies(FaultConfigError, 'FaultConfigError')

/** The longest that one timer of Node takes. */
export const LONGEST_MS = 2 ** 31 - 1
/** More than a test process should ever be asked to hold at once. */
export const MOST_HELD_BYTES = 2 ** 30

const DEFAULTS = { probability: 1, keep: 0.5, keep_items: 1, hold_bytes: 64 * 2 ** 20, slots: 1, every_nth: 1 }

/** Throws FaultConfigError; `where` names the fault in the message. */
export function readFault(config: FaultConfig, where = 'fault'): Fault {
  const { fault_type: type } = config
  if (!Object.hasOwn(FaultType, type))
    throw wrong(where, 'fault_type', `one of ${Object.keys(FaultType).join(', ')}`, type)
  const modes: readonly FaultMode[] = FAULT_MODES[type]
  const mode = config.mode ?? modes[0]
  if (mode === undefined || !modes.includes(mode))
    throw wrong(where, 'mode', `one of ${modes.join(', ')} for ${type}`, config.mode)
  const [useless] = uselessFields(config)
  if (useless) throw new FaultConfigError(`${where}: ${useless.message}`, useless.field)
  const number = (field: NumberField, least: number, most: number, whole = true): number | undefined => {
    const value = config[field]
    if (value === undefined) return undefined
    if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isSafeInteger(value)))
      return value
    throw wrong(where, field, `${whole ? 'a whole number' : 'a number'} ${range(least, most)}`, value)
  }
  const fault: Fault = {
    fault_type: type,
    mode,
    probability: number('probability', 0, 1, false) ?? DEFAULTS.probability,
    duration_ms: number('duration_ms', 0, LONGEST_MS),
    error_code: number('error_code', -Infinity, Infinity),
    error_message: text(config.error_message, where),
    affected_components: readNames(config.affected_components, where, 'affected_components'),
    retry_after_seconds: number('retry_after_seconds', 0, Infinity, false),
    keep: number('keep', 0, 1, false) ?? DEFAULTS.keep,
    keep_items: number('keep_items', 0, Infinity) ?? DEFAULTS.keep_items,
    hold_bytes: number('hold_bytes', 1, MOST_HELD_BYTES) ?? DEFAULTS.hold_bytes,
    slots: number('slots', 0, Infinity) ?? DEFAULTS.slots,
    every_nth: number('every_nth', 1, Infinity) ?? DEFAULTS.every_nth,
    first_n: number('first_n', 1, Infinity) ?? Infinity,
    burst: config.burst && readBurst(config.burst, where),
    window_ms: config.window_ms && readWindow(config.window_ms, where),
    after_calls: number('after_calls', 0, Infinity) ?? 0,
    after_ms: number('after_ms', 0, Infinity, false) ?? 0,
  }
  if (type === 'latency' && fault.duration_ms === undefined)
    throw new FaultConfigError(`${where}: latency needs duration_ms, e.g. duration_ms: 200`, 'duration_ms')
  if (type === 'error' && fault.error_code === undefined)
    throw new FaultConfigError(`${where}: error needs error_code, e.g. error_code: 503`, 'error_code')
  return fault
}

/** Component names: not empty, `*` for all of them. */
export function readNames(value: unknown, where: string, field: string): readonly string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== ''))
    return [...(value as string[])]
  throw wrong(where, field, 'a list of component names', value)
}

type NumberField = {
  [K in keyof FaultConfig]-?: FaultConfig[K] extends number | undefined ? K : never
}[keyof FaultConfig]

function text(value: unknown, where: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw wrong(where, 'error_message', 'a text', value)
}

function readBurst({ calls, every }: { calls: number; every: number }, where: string) {
  if (Number.isSafeInteger(calls) && Number.isSafeInteger(every) && calls >= 1 && calls <= every)
    return { calls, every }
  throw wrong(where, 'burst', '{calls, every} with 1 ≤ calls ≤ every', { calls, every })
}

function readWindow({ from, until }: { from: number; until: number }, where: string) {
  if (from >= 0 && until > from) return { from, until }
  throw wrong(where, 'window_ms', '{from, until} with 0 ≤ from < until', { from, until })
}

function range(least: number, most: number): string {
  if (least === -Infinity) return ''
  return most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`
}

function wrong(where: string, field: string, wanted: string, got: unknown): FaultConfigError {
  return new FaultConfigError(`${where}: ${field} must be ${wanted.trim()}, got ${show(got)}`, field)
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
