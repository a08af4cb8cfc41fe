/** Which fields mean something for which fault: one that means nothing, or is misspelt, is a mistake that would else pass for a test. */
import { FAULT_MODES, FaultType } from './fault-type.ts'
import type { FaultConfig, FaultMode } from './fault-type.ts'

type Field = keyof FaultConfig

/** When a call is hit, and where: for every fault. */
const EVERY_FAULT: readonly Field[] = [
  'fault_type',
  'mode',
  'probability',
  'affected_components',
  'every_nth',
  'first_n',
  'burst',
  'window_ms',
  'after_calls',
  'after_ms',
  'callback',
  'when',
]

const RAISED: readonly Field[] = ['error_code', 'error_message', 'code', 'error']

/** What else a fault has, by its type and mode. */
const OF_MODE: { readonly [T in FaultType]: { readonly [M in FaultMode]?: readonly Field[] } } = {
  latency: { delay: ['duration_ms', 'after', 'stall_ms', 'stall_after_items'] },
  error: { raise: [...RAISED, 'retry_after_seconds', 'body', 'after', 'reset_after_items'] },
  timeout: { raise: [...RAISED, 'duration_ms', 'after'] },
  partial_failure: { raise: RAISED, drop: ['keep', 'keep_items'] },
  resource_exhaustion: {
    raise: [...RAISED, 'body'],
    rate_limit: [...RAISED, 'retry_after_seconds', 'body'],
    hold_memory: ['hold_bytes', 'duration_ms'],
    hold_slots: ['slots', ...RAISED],
  },
  data_corruption: { raise: RAISED, cut_stream: ['keep_items'] },
}

export interface FieldProblem {
  field: string
  /** Says what to do: `keep_items means nothing for latency; it is for partial_failure (drop), …`. */
  message: string
}

/** Fields of a fault that nobody would look at. `mode` must fit the type, else nothing can be said. */
export function uselessFields(config: { fault_type: FaultType; mode?: FaultMode | undefined }): FieldProblem[] {
  const { fault_type: type, mode = FAULT_MODES[type][0] } = config
  const known = allFields()
  return Object.entries(config).flatMap(([field, value]) => {
    if (value === undefined || isOf(field, EVERY_FAULT)) return []
    if (!isOf(field, known)) return { field, message: `${field} is no field of a fault${meant(field, known)}` }
    if (isOf(field, OF_MODE[type][mode] ?? [])) return []
    const modes: readonly string[] = FAULT_MODES[type]
    const what = modes.length > 1 ? `${type} with mode ${mode}` : type
    return { field, message: `${field} means nothing for ${what}; it is for ${usersOf(field)}` }
  })
}

/** They act inside a stream, or on a callback. A call of an MCP tool has neither. */
const NOT_OF_TOOLS: readonly Field[] = ['stall_ms', 'stall_after_items', 'reset_after_items', 'keep_items', 'callback']

/** The same for calls of MCP tools, whose results are no streams. */
export function uselessForTools(config: { fault_type: FaultType; mode?: FaultMode | undefined }): FieldProblem[] {
  const problems = uselessFields(config)
  if (config.mode === 'cut_stream')
    problems.push({ field: 'mode', message: `mode cut_stream means nothing for calls of MCP tools: ${NO_STREAM}` })
  for (const [field, value] of Object.entries<unknown>(config))
    if (isOf(field, NOT_OF_TOOLS) && value !== undefined && value !== false && problems.every((p) => p.field !== field))
      problems.push({ field, message: `${field} means nothing for calls of MCP tools: ${WHY[field] ?? NO_STREAM}` })
  return problems
}

const NO_STREAM = 'their results are no streams'
const WHY: Readonly<Record<string, string>> = { callback: 'they answer without callbacks' }

function allFields(): Field[] {
  const own = Object.values(OF_MODE).flatMap((modes) => Object.values(modes).flat())
  return [...new Set([...EVERY_FAULT, ...own])]
}

/** `partial_failure (drop), data_corruption (cut_stream)` */
function usersOf(field: string): string {
  const users = Object.keys(FaultType).flatMap((name) => {
    const type = name as FaultType
    const modes = Object.entries(OF_MODE[type]).flatMap(([mode, fields]) => (isOf(field, fields) ? [mode] : []))
    if (modes.length === 0) return []
    return FAULT_MODES[type].length === 1 ? type : `${type} (${modes.join(', ')})`
  })
  return users.join(', ')
}

function isOf(field: string, fields: readonly string[]): boolean {
  return fields.includes(field)
}

/** `: did you mean probability?`, or which fields there are. */
function meant(field: string, known: readonly string[]): string {
  const near = nearest(field, known)
  return near === undefined ? `; there are ${known.join(', ')}` : `: did you mean ${near}?`
}

/** The name that somebody may have meant; undefined when none is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z\d]/g, '')
  const most = Math.max(1, Math.floor(name.length / 3))
  const [best] = [...known]
    .map((one) => ({ one, edits: editsBetween(plain(name), plain(one)) }))
    .filter(({ edits }) => edits <= most)
    .sort((a, b) => a.edits - b.edits)
  return best?.one
}

/** Letters to insert, delete or replace. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced))
    }
    row = next
  }
  return row[b.length] ?? 0
}
