/** Journals as files: one writer with group commit, and readers that never change anything. */
import { basename, dirname } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import type { JournalTotals } from '../core/events.ts'
import { nodeDisk } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'
import { CHAIN_START, decodeLine, encodeLine, MAX_RECORD_BYTES, wasWhole } from './format.ts'
import { fold, JOURNAL_FORMAT } from './journal.ts'
import type { Journal, JournalRecord, RunState, Stamped, StepState } from './journal.ts'
import { JournalMeter } from './totals.ts'

interface Waiting {
  bytes: Buffer
  durable: boolean
  resolve(): void
  reject(error: Error): void
}

/** The only writer of one journal file. Concurrent appends share one write and one sync. */
export class FileJournal implements Journal {
  readonly file: string
  readonly #meter = new JournalMeter()
  readonly #handle: DiskFile
  #size: number
  #seq: number
  #prev: string
  #waiting: Waiting[] = []
  #pumping: Promise<void> | undefined
  #broken: JournalError | undefined

  private constructor(file: string, handle: DiskFile, at: { size: number; seq: number; prev: string }) {
    this.file = file
    this.#handle = handle
    this.#size = at.size
    this.#seq = at.seq
    this.#prev = at.prev
  }

  /** A new, empty journal; its name is durable when this resolves. */
  static async create(file: string, disk: Disk = nodeDisk): Promise<FileJournal> {
    try {
      await disk.mkdir(dirname(file))
      const handle = await disk.open(file, 'create')
      await disk.syncFolder(dirname(file))
      return new FileJournal(file, handle, { size: 0, seq: 0, prev: CHAIN_START })
    } catch (error) {
      throw writeError(file, error)
    }
  }

  /** Goes on with an existing journal: cuts a torn tail (a copy of it is kept beside the file). */
  static async resume(file: string, disk: Disk = nodeDisk): Promise<FileJournal> {
    const state = await readJournal(file, disk)
    try {
      const handle = await disk.open(file, 'write')
      if (state.tornBytes > 0) {
        await keepTail(disk, handle, file, state)
        await handle.truncate(state.goodLength)
        await handle.datasync()
      }
      return new FileJournal(file, handle, { size: state.goodLength, seq: state.lastSeq, prev: state.lastCrc })
    } catch (error) {
      throw writeError(file, error)
    }
  }

  append(record: JournalRecord, options: { durable?: boolean } = {}): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    const stamped = { ...record, at: new Date().toISOString() } satisfies Stamped
    const json = JSON.stringify(stamped)
    if (Buffer.byteLength(json) > MAX_RECORD_BYTES) {
      return Promise.reject(
        new JournalError('JOURNAL_WRITE', `a record of ${json.length} characters is too long for the journal (1 MiB)`),
      )
    }
    this.#seq += 1
    const { bytes, crc } = encodeLine(this.#seq, this.#prev, json)
    this.#prev = crc
    const durable = options.durable === true
    const appending = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ bytes, durable, resolve, reject })
      this.#pumping ??= this.#pump()
    })
    return this.#meter.measure(appending, durable)
  }

  get totals(): JournalTotals {
    return this.#meter.totals
  }

  async close(): Promise<void> {
    await this.#pumping
    await this.#handle.close()
  }

  async #pump(): Promise<void> {
    // What arrives while one batch is being synced is the next batch.
    while (this.#waiting.length > 0) {
      await untilQuiet()
      const batch = this.#waiting.splice(0)
      try {
        if (this.#broken) throw this.#broken
        const bytes = batch.length === 1 && batch[0] ? batch[0].bytes : Buffer.concat(batch.map((w) => w.bytes))
        await this.#handle.write(bytes, this.#size)
        if (batch.some((w) => w.durable)) await this.#handle.datasync()
        this.#size += bytes.length
        for (const waiting of batch) waiting.resolve()
      } catch (error) {
        // After a failed sync the kernel may have dropped the pages: nothing written to this file can be trusted again.
        this.#broken ??= writeError(this.file, error)
        for (const waiting of batch) waiting.reject(this.#broken)
      }
    }
    this.#pumping = undefined
  }
}

/**
 * Lets everybody who can go on now go on first. Those whose record was just synced append their next one then; without
 * this, they would miss the batch and wait for two syncs instead of one.
 */
function untilQuiet(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

/** Everything a journal file says. Changes nothing; throws JournalError when it cannot be read or is of a newer format. */
export async function readJournal(file: string, disk: Disk = nodeDisk): Promise<RunState> {
  const state = emptyState(file)
  /** Where bytes begin that are a torn tail unless something follows them. */
  let torn: number | undefined
  let damaged = false
  let end = 0
  try {
    for await (const { bytes, offset, whole } of linesOf(file, disk)) {
      end = offset + bytes.length + (whole ? 1 : 0)
      const line = whole ? decodeLine(bytes) : undefined
      if (!line && !wasWhole(bytes, whole)) {
        torn ??= offset
        continue
      }
      if ((!line || torn !== undefined) && !damaged) state.damage.push({ offset: torn ?? offset, reason: 'unreadable' })
      torn = undefined
      damaged = !line
      state.goodLength = end
      if (!line) continue
      if (line.prev !== state.lastCrc || line.seq !== state.lastSeq + 1) {
        state.damage.push({ offset, reason: `record ${line.seq} does not follow record ${state.lastSeq}` })
      }
      const record = JSON.parse(line.json) as Stamped
      if (record.type === 'run.started' && record.format > JOURNAL_FORMAT) throw newer(file, record.format)
      fold(state, record, { offset, length: bytes.length })
      state.lastCrc = line.crc
      state.lastSeq = line.seq
    }
  } catch (error) {
    if (error instanceof JournalError) throw error
    throw new JournalError('JOURNAL_READ', `cannot read the journal ${file}: ${messageOf(error)}`, { cause: error })
  }
  state.tornBytes = end - state.goodLength
  return state
}

/** Of a journal of which nothing has been read. */
export function emptyState(file: string): RunState {
  return { file, steps: [], goodLength: 0, tornBytes: 0, damage: [], lastCrc: CHAIN_START, lastSeq: 0 }
}

/** The step's data: as planned, with every fact recorded since, read from the file. */
export async function loadStep(file: string, step: StepState, disk: Disk = nodeDisk): Promise<object> {
  const handle = await disk.open(file, 'read')
  try {
    const records = []
    for (const place of [step.planned, ...step.facts]) {
      const line = decodeLine(await handle.read(place.offset, place.length))
      if (!line)
        throw new JournalError(
          'JOURNAL_READ',
          `the record at byte ${place.offset} of ${file} has changed since it was read`,
        )
      records.push(JSON.parse(line.json) as { data?: object; facts?: object })
    }
    return Object.assign({}, ...records.map((record) => record.data ?? record.facts)) as object
  } finally {
    await handle.close()
  }
}

const CHUNK = 2 ** 18
/** Longer than any line of ours: what runs on past this without a newline is damage, not a record to wait for. */
const MAX_LINE = MAX_RECORD_BYTES + 64

/** The lines of a file, without holding more than one of them. The last one may lack its newline (`whole` false). */
async function* linesOf(file: string, disk: Disk): AsyncGenerator<{ bytes: Buffer; offset: number; whole: boolean }> {
  const handle = await disk.open(file, 'read')
  try {
    let rest: Buffer = Buffer.alloc(0)
    let offset = 0
    for (let position = 0; ;) {
      const chunk = await handle.read(position, CHUNK)
      if (chunk.length === 0) break
      position += chunk.length
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let start = 0
      for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10, start)) {
        yield { bytes: rest.subarray(start, newline), offset: offset + start, whole: true }
        start = newline + 1
      }
      offset += start
      rest = rest.subarray(start)
      if (rest.length > MAX_LINE) {
        yield { bytes: rest, offset, whole: false }
        offset += rest.length
        rest = Buffer.alloc(0)
      }
    }
    if (rest.length > 0) yield { bytes: rest, offset, whole: false }
  } finally {
    await handle.close()
  }
}

async function keepTail(disk: Disk, handle: DiskFile, file: string, state: RunState): Promise<void> {
  const tail = await handle.read(state.goodLength, Math.min(state.tornBytes, MAX_LINE))
  try {
    const copy = await disk.open(`${dirname(file)}/${basename(file)}.torn-${Date.now()}`, 'create')
    try {
      await copy.write(tail, 0)
    } finally {
      await copy.close()
    }
  } catch {
    // A full disk has no room for what nobody relied on; the undo does not wait for it.
  }
}

function writeError(file: string, error: unknown): JournalError {
  return new JournalError('JOURNAL_WRITE', `cannot write the journal ${file}: ${messageOf(error)}`, { cause: error })
}

function newer(file: string, format: number): JournalError {
  return new JournalError(
    'JOURNAL_NEWER',
    `${file} was written in format ${format} by a newer version; this one knows ${JOURNAL_FORMAT}. Nothing was touched: run the newer version`,
  )
}
