/**
 * `<state>/schedule.json`: up to when the due times of each experiment are handled, so that none runs twice, whatever
 * happens to the process or the clock. It is on the disk before a due time is handed out.
 */
import { messageOf } from '../core/errors.ts'
import { nodeDisk, writeFileDurably } from '../journal/disk.ts'

/** `from` < slot ≤ `to`, milliseconds since the epoch. */
export interface Range {
  from: number
  to: number
}

export interface Handled {
  /** What the slots are those of: the six fields and the zone. */
  schedule: string
  /** Every slot up to then is handled: it ran, or it was told why not. */
  until: number
  /** Of those, the latest that passed without any run. Should the clock be set back, they come again and may run. */
  passed?: Range
  /** Slots after `until` that are handled already: the clock was set back. */
  ahead?: Range
  /** It is not scheduled any more. When it comes back, what passed meanwhile is not missed. */
  retired?: boolean
}

export interface HandledStore {
  /** By name of the experiment. */
  readonly slots: Map<string, Handled>
  /** What `slots` holds now is durable when it resolves. */
  save(): Promise<void>
}

export function memoryHandled(slots = new Map<string, Handled>()): HandledStore {
  return { slots, save: () => Promise.resolve() }
}

const NAME = 'schedule.json'
const VERSION = 1

/** A file that cannot be read is told and begun anew: then what passed while nothing was up is not known as missed. */
export async function openHandled(stateDir: string, warn: (message: string) => void): Promise<HandledStore> {
  const slots = new Map<string, Handled>()
  try {
    const text = await readOptional(`${stateDir}/${NAME}`)
    for (const [name, handled] of text === undefined ? [] : parse(text)) slots.set(name, handled)
  } catch (error) {
    slots.clear()
    warn(`${stateDir}/${NAME} cannot be read and is begun anew, missed runs are not known: ${messageOf(error)}`)
  }
  return { slots, save: () => writeFileDurably(nodeDisk, stateDir, NAME, format(slots)) }
}

/** One experiment a line, times as people read them. */
function format(slots: ReadonlyMap<string, Handled>): string {
  const lines = [...slots].map(([name, { passed, ahead, until, ...rest }]) => {
    const record = {
      ...rest,
      until: iso(until),
      ...(passed && { passed: isoRange(passed) }),
      ...(ahead && { ahead: isoRange(ahead) }),
    }
    return `${JSON.stringify(name)}: ${JSON.stringify(record)}`
  })
  return `{"version": ${VERSION}, "experiments": {\n${lines.join(',\n')}\n}}\n`
}

function parse(text: string): [string, Handled][] {
  const file = JSON.parse(text) as { version?: unknown; experiments?: Record<string, Record<string, unknown>> }
  if (file.version !== VERSION)
    throw new Error(`it is of version ${String(file.version)}, and this program knows ${VERSION}`)
  return Object.entries(file.experiments ?? {}).map(([name, { schedule, until, passed, ahead, retired }]) => [
    name,
    {
      schedule: String(schedule),
      until: time(until),
      ...(passed === undefined ? {} : { passed: range(passed) }),
      ...(ahead === undefined ? {} : { ahead: range(ahead) }),
      ...(retired === true && { retired }),
    },
  ])
}

function range(value: unknown): Range {
  const [from, to] = value as [unknown, unknown]
  return { from: time(from), to: time(to) }
}

function time(value: unknown): number {
  const ms = Date.parse(String(value))
  if (Number.isNaN(ms)) throw new Error(`${JSON.stringify(value)} is not a time`)
  return ms
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function isoRange({ from, to }: Range): [string, string] {
  return [iso(from), iso(to)]
}

async function readOptional(file: string): Promise<string | undefined> {
  try {
    return (await nodeDisk.readFile(file)).toString('utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
