/** Durable journal appends, beside a bare loop of write and fdatasync on the same disk. */
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FileJournal } from '../src/journal/file-journal.ts'
import { CHAIN_START, encodeLine } from '../src/journal/format.ts'
import type { JournalRecord } from '../src/journal/journal.ts'
import { interleave } from './measure.ts'
import type { Comparison } from './measure.ts'
import { withFolder } from './temporary.ts'

const LINE_BYTES = 300
const APPENDERS = 64
/** Many short ones: the speed of a shared disk changes from one moment to the next. */
const ROUNDS = 25
/** One measurement ends after so many syncs, or after so many milliseconds on a slow disk. */
const SYNCS = 100
const LONGEST_MS = 150

export async function journal(): Promise<Comparison[]> {
  return withFolder(async (folder) => {
    const { alone, together, bare, grouped } = await interleave(
      {
        alone: () => appendRate(folder, 1, SYNCS),
        bare: () => writeRate(folder, 1),
        together: () => appendRate(folder, APPENDERS, SYNCS * APPENDERS),
        grouped: () => writeRate(folder, APPENDERS),
      },
      { rounds: ROUNDS },
    )
    const loop = { label: 'bare write + fdatasync of one line', values: bare }
    return [
      {
        title: `journal: durable appends of ${LINE_BYTES} bytes, 1 appender`,
        unit: 'records/s',
        better: 'higher',
        ours: { label: 'FileJournal', values: alone },
        peers: [loop],
        meaning: 'What JSON, checksums and the queue leave of the speed of the disk.',
      },
      {
        title: `journal: durable appends of ${LINE_BYTES} bytes, ${APPENDERS} concurrent appenders`,
        unit: 'records/s',
        better: 'higher',
        ours: { label: 'FileJournal', values: together },
        peers: [loop, { label: `bare write + fdatasync of ${APPENDERS} lines`, values: grouped }],
        meaning: 'What sharing a sync gains over one sync a record, and how much of the most it could gain.',
      },
    ]
  })
}

/** Records per second of so many appenders, each of which waits for its record before it appends the next. */
async function appendRate(folder: string, appenders: number, records: number): Promise<number> {
  const file = join(folder, 'journal.jsonl')
  const journal = await FileJournal.create(file)
  const record = recordOf(LINE_BYTES)
  const begun = performance.now()
  let [begunRecords, done] = [0, 0]
  const appendInTurn = async (): Promise<void> => {
    while (begunRecords < records && performance.now() - begun < LONGEST_MS) {
      begunRecords++
      await journal.append(record, { durable: true })
      done++
    }
  }
  await Promise.all(Array.from({ length: appenders }, appendInTurn))
  const seconds = (performance.now() - begun) / 1_000
  await journal.close()
  await rm(file)
  return done / seconds
}

/** Lines per second when nothing is done but to write so many of them at once, and to sync. */
async function writeRate(folder: string, lines: number): Promise<number> {
  const file = join(folder, 'bare')
  const handle = await open(file, 'wx')
  const bytes = Buffer.alloc(lines * LINE_BYTES, 'x')
  const begun = performance.now()
  let syncs = 0
  for (; syncs < SYNCS && performance.now() - begun < LONGEST_MS; syncs++) {
    await handle.write(bytes, 0, bytes.length, syncs * bytes.length)
    await handle.datasync()
  }
  const seconds = (performance.now() - begun) / 1_000
  await handle.close()
  await rm(file)
  return (syncs * lines) / seconds
}

/** A record whose line in the file has this many bytes (with a sequence number of three digits). */
function recordOf(bytes: number): JournalRecord {
  const at = new Date().toISOString()
  const record = { type: 'step.recorded', step: 1, facts: { keys: '' } } as const
  const empty = encodeLine(100, CHAIN_START, JSON.stringify({ ...record, at })).bytes.length
  return { ...record, facts: { keys: 'k'.repeat(bytes - empty) } }
}
