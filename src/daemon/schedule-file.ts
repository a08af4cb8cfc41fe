/**
 * `<state>/schedule.json`: up to when the due times of each experiment are handled, so that none runs twice, whatever
 * happens to the process or the clock. It is on the disk before a due time is handed out.
 */
import { messageOf } from '../core/errors.ts'
import { nodeDisk, writeFileDurably } from '../journal/disk.ts'
import { fields, flag, listOf, mapOf, optional, text as string, time } from '../journal/shape.ts'
import type { Shape } from '../journal/shape.ts'
import type { Handled, HandledStore, Range } from '../schedule/watermark.ts'

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
    warn(
      `${stateDir}/${NAME} cannot be read and is begun anew, missed runs are not known: ${messageOf(error)}${await setAside(stateDir)}`,
    )
  }
  return { slots, save: () => writeFileDurably(nodeDisk, stateDir, NAME, format(slots)) }
}

/** A newer version may want it back, and a person may want to look. */
async function setAside(stateDir: string): Promise<string> {
  const aside = `${NAME}.damaged-${Date.now()}`
  return nodeDisk.rename(`${stateDir}/${NAME}`, `${stateDir}/${aside}`).then(
    () => `. It is kept as ${aside}`,
    () => '',
  )
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
  const file = JSON.parse(text) as unknown
  const { version } = Object(file) as { version?: unknown }
  if (version !== VERSION) throw new Error(`it is of version ${String(version)}, and this program knows ${VERSION}`)
  if (!isFile(file)) throw new Error('it is not of the form of that version')
  return Object.entries((file as WrittenFile).experiments).map(
    ([name, { until, passed, ahead, retired, schedule }]) => [
      name,
      {
        schedule,
        until: Date.parse(until),
        ...(passed && { passed: range(passed) }),
        ...(ahead && { ahead: range(ahead) }),
        ...(retired === true && { retired }),
      },
    ],
  )
}

interface WrittenFile {
  experiments: Record<
    string,
    { schedule: string; until: string; passed?: [string, string]; ahead?: [string, string]; retired?: boolean }
  >
}

const isRange: Shape = (value) => listOf(time)(value) && (value as unknown[]).length === 2

const isFile = fields({
  experiments: mapOf(
    fields({
      ...{
        schedule: string,
        until: time,
        passed: optional(isRange),
        ahead: optional(isRange),
        retired: optional(flag),
      },
    }),
  ),
})

function range([from, to]: [string, string]): Range {
  return { from: Date.parse(from), to: Date.parse(to) }
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
