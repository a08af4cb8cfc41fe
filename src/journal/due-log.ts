/**
 * What became of every due time: `<state>/slots.jsonl`, one JSON line each, oldest first. The digest, `status` and the
 * schedule read it. It is a record for people, not part of the undo: a line that a crash cut off is passed over.
 */
import { join } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import type { SkipCause } from '../core/events.ts'
import type { Facts } from '../core/facts.ts'
import { appendAsOwner, replaceAsOwner } from './owner.ts'
import { readRegular } from './regular.ts'
import { fields, optional, text, time } from './shape.ts'

export interface SlotRecord {
  /** When it was decided, ISO 8601, UTC. */
  at: string
  experiment: string
  /** The due time. */
  slot: string
  /** The run it becomes; recorded before it begins. */
  run?: string
  /** Why it did not run; a record of the same due time before this one is void. */
  skipped?: { cause: SkipCause; reason: string; about?: Facts }
}

export interface SlotLog {
  append(record: SlotRecord): Promise<void>
  /** Those decided since then (milliseconds since the epoch), oldest first. */
  read(since?: number): Promise<SlotRecord[]>
  /** Forgets those decided before then, and the oldest of very many. */
  prune(before: number): Promise<void>
}

/** An experiment of every second leaves 86,400 a day. */
const MOST = 50_000
/** Of their file. */
const MOST_BYTES = 256 * 2 ** 20

export function slotLog(stateDir: string): SlotLog {
  const file = join(stateDir, 'slots.jsonl')
  let writing = Promise.resolve()
  /** One at a time, so that a line is never written into a file that is being replaced. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = writing.then(work)
    writing = done.catch(() => undefined)
    return done
  }
  const read = async (since = 0): Promise<SlotRecord[]> => {
    const lines = await readRegular(file, MOST_BYTES).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
      throw new JournalError(
        'JOURNAL_READ',
        `cannot read ${file}: ${messageOf(error)}. Nothing is undone by it: move it away`,
        { cause: error },
      )
    })
    return lines
      .toString()
      .split('\n')
      .flatMap((line) => {
        const record = parse(line)
        return record && Date.parse(record.at) >= since ? [record] : []
      })
  }
  return {
    // Begins with a newline: what a crash left of the line before does not take this one with it.
    append: (record) => inTurn(() => appendAsOwner(file, `\n${JSON.stringify(record)}`)),
    read,
    prune: (before) =>
      inTurn(async () => {
        const kept = (await read(before)).slice(-MOST)
        await replaceAsOwner(file, kept.map((record) => `\n${JSON.stringify(record)}`).join(''))
      }),
  }
}

const isSlotRecord = fields({
  ...{ at: time, experiment: text, slot: time, run: optional(text) },
  skipped: optional(fields({ cause: text, reason: text })),
})

function parse(line: string): SlotRecord | undefined {
  if (line === '') return undefined
  try {
    const record = JSON.parse(line) as unknown
    return isSlotRecord(record) ? (record as SlotRecord) : undefined
  } catch {
    return undefined
  }
}
