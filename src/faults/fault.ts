/** A FaultConfig checked and completed: inside the library nothing is asked twice. */
import { ERROR_BODIES, FAULT_MODES, FaultType } from './fault-type.ts'
import type { FaultConfig, FaultMode, Range } from './fault-type.ts'
import { uselessFields, uselessForTools } from './fields.ts'
import { knownToAllCopies } from './shared.ts'

/** Every default filled in; what has no default is undefined. */
export interface Fault {
  readonly fault_type: FaultType
  readonly probability: number
  readonly duration_ms: number | Range | undefined
  readonly error_code: number | undefined
  readonly error_message: string | undefined
  readonly code: string | number | undefined
  readonly body: FaultConfig['body']
  readonly error: (() => unknown) | undefined
  readonly after: boolean
  readonly callback: boolean
  readonly when: FaultConfig['when']
  readonly stall_ms: number | Range | undefined
  readonly stall_after_items: number | undefined
  readonly reset_after_items: number | undefined
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
    duration_ms: readTime(config, 'duration_ms', where),
    code: readCode(config.code, where),
    body: readBody(config.body, where),
    error: readFunction(config, 'error', where),
    after: readFlag(config, 'after', where),
    callback: readFlag(config, 'callback', where),
    when: readFunction(config, 'when', where),
    stall_ms: readTime(config, 'stall_ms', where),
    stall_after_items: number('stall_after_items', 0, Infinity),
    reset_after_items: number('reset_after_items', 0, Infinity),
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
  const missing = whatIsMissing(config)
  if (missing) throw new FaultConfigError(`${where}: ${missing.message}`, missing.field)
  return fault
}

/** The same for a fault in calls of MCP tools: a field that means nothing there is a mistake, too. */
export function readToolFault(config: FaultConfig, where = 'fault'): Fault {
  const fault = readFault(config, where)
  const [useless] = uselessForTools(config)
  if (useless) throw new FaultConfigError(`${where}: ${useless.message}`, useless.field)
  return fault
}

/** It stalls a stream or breaks it off: nothing is done to the data. */
export function breaksStreams({ stall_ms: stall, reset_after_items: reset }: Fault): boolean {
  return stall !== undefined || reset !== undefined
}

/** What a fault cannot do without, or what two of its fields say against each other. */
function whatIsMissing(config: FaultConfig): { field: string; message: string } | undefined {
  const { fault_type: type, duration_ms, error_code, code, body, error, after } = config
  const said = (...fields: (keyof FaultConfig)[]): boolean => fields.some((field) => config[field] !== undefined)
  if (type === 'latency') {
    if (duration_ms === undefined && !said('stall_ms', 'stall_after_items'))
      return { field: 'duration_ms', message: 'latency needs duration_ms, e.g. duration_ms: 200' }
    if (said('stall_after_items') && !said('stall_ms'))
      return { field: 'stall_ms', message: 'stall_after_items needs stall_ms, e.g. stall_ms: 2000' }
  }
  if (type === 'error' && !said('reset_after_items')) {
    const shaped = [error_code, code, error].some((one) => one !== undefined) || typeof body === 'string'
    if (!shaped) return { field: 'error_code', message: 'error needs error_code, e.g. error_code: 503' }
  }
  for (const field of ['stall_ms', 'reset_after_items'] as const)
    if (after === true && said(field))
      return { field: 'after', message: `after means nothing with ${field}: a stream is broken inside, not behind it` }
  return undefined
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

function readTime(config: FaultConfig, field: 'duration_ms' | 'stall_ms', where: string): number | Range | undefined {
  const value: unknown = config[field]
  const isTime = (ms: unknown): ms is number => Number.isSafeInteger(ms) && Number(ms) >= 0 && Number(ms) <= LONGEST_MS
  if (value === undefined || isTime(value)) return value
  if (typeof value !== 'object' || value === null)
    throw wrong(where, field, `a whole number from 0 to ${LONGEST_MS} or {from, to}`, value)
  const { from, to, ...rest } = value as Partial<Range>
  if (isTime(from) && isTime(to) && from <= to && Object.keys(rest).length === 0) return { from, to }
  throw wrong(where, field, `{from, to} in whole milliseconds with 0 ≤ from ≤ to ≤ ${LONGEST_MS}`, value)
}

function readCode(value: unknown, where: string): string | number | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '') || Number.isSafeInteger(value))
    return value as string | number | undefined
  throw wrong(where, 'code', 'a text such as ECONNRESET, or a whole number such as 14', value)
}

function readBody(value: unknown, where: string): FaultConfig['body'] {
  if (value === undefined || (ERROR_BODIES as readonly unknown[]).includes(value)) return value as FaultConfig['body']
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as FaultConfig['body']
  throw wrong(where, 'body', `one of ${ERROR_BODIES.join(', ')}, or a map`, value)
}

function readFlag(config: FaultConfig, field: 'after' | 'callback', where: string): boolean {
  const value: unknown = config[field]
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw wrong(where, field, 'true or false', value)
}

function readFunction<F extends 'when' | 'error'>(config: FaultConfig, field: F, where: string): FaultConfig[F] {
  const value = config[field]
  if (value === undefined || typeof value === 'function') return value
  throw wrong(where, field, 'a function, which only code can give', value)
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
