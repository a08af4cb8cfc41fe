/** The one writer of a run's journal: group commit, and another file to go on in when the disk has failed under one. */
import { dirname } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import type { JournalTotals } from '../core/events.ts'
import { isCode, isFull, nodeDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { runOfFile } from './file-state.ts'
import { MAX_RECORD_BYTES } from './format.ts'
import type { Journal, JournalRecord, RunContinued, Stamped } from './journal.ts'
import { LAST_PART, partFile } from './parts.ts'
import { PartWriter } from './part-writer.ts'
import { readJournal } from './read-journal.ts'
import { isRecord } from './record-shape.ts'
import { JournalMeter } from './totals.ts'

interface Waiting {
  json: string
  durable: boolean
  /** Of the undo: it goes on after the disk has failed. */
  undo: boolean
  resolve(): void
  reject(error: Error): void
}

/** Of the undo, and of nothing else. Whatever is not in here belongs to a fault, and is refused once the disk has failed. */
const UNDO: ReadonlySet<JournalRecord['type']> = new Set([
  'undo.started',
  'undo.progress',
  'step.reverted',
  'step.revert_failed',
  'step.quarantined',
  'step.released',
  'step.accepted',
  'run.finished',
])

/** In how many files one batch is tried, the one that failed under it included. */
const TRIES = 3

/** Concurrent appends share one write and one sync. */
export class FileJournal implements Journal {
  /** The run's first. */
  readonly file: string
  readonly #meter = new JournalMeter()
  readonly #disk: Disk
  /** Called when the disk is full; frees what was put by for an undo. */
  readonly #makeRoom: () => Promise<unknown>
  /** Undefined after an error, until the next record of the undo. */
  #part: PartWriter | undefined
  #newest: number
  /** The files that failed under us, each with how much of it was surely on the disk. */
  readonly #failed: RunContinued['after'] = []
  #waiting: Waiting[] = []
  #pumping: Promise<void> | undefined
  #failure: JournalError | undefined

  private constructor(file: string, newest: number, disk: Disk, makeRoom: () => Promise<unknown>) {
    this.file = file
    this.#newest = newest
    this.#disk = disk
    this.#makeRoom = makeRoom
  }

  /** A new, empty journal; its name is durable when this resolves. */
  static async create(file: string, disk: Disk = nodeDisk, makeRoom = noRoom): Promise<FileJournal> {
    const journal = new FileJournal(file, 1, disk, makeRoom)
    try {
      await disk.mkdir(dirname(file))
      journal.#part = await PartWriter.create(file, disk)
      return journal
    } catch (error) {
      throw writeError(file, error)
    }
  }

  /** Goes on with an existing journal, in its newest file, or in another where that one cannot be written. */
  static async resume(file: string, disk: Disk = nodeDisk, makeRoom = noRoom): Promise<FileJournal> {
    const state = await readJournal(file, disk)
    const journal = new FileJournal(file, state.part, disk, makeRoom)
    const newest = partFile(file, state.part)
    try {
      if (!state.readable) throw new Error('it cannot be read')
      journal.#part = await PartWriter.resume(newest, state, disk)
    } catch (error) {
      await journal.#fail(error)
    }
    return journal
  }

  get failure(): JournalError | undefined {
    return this.#failure
  }

  append(record: JournalRecord, options: { durable?: boolean } = {}): Promise<void> {
    const undo = UNDO.has(record.type)
    if (this.#failure && !undo) return Promise.reject(this.#failure)
    const stamped: Stamped = { ...record, at: new Date().toISOString() }
    const json = JSON.stringify(stamped)
    if (Buffer.byteLength(json) > MAX_RECORD_BYTES) {
      return Promise.reject(
        new JournalError('JOURNAL_WRITE', `a record of ${json.length} characters is too long for the journal (1 MiB)`),
      )
    }
    if (!isRecord(stamped))
      return Promise.reject(
        new JournalError('JOURNAL_WRITE', `a record ${record.type} has not the form that reading it would need`),
      )
    const durable = options.durable === true
    const appending = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ json, durable, undo, resolve, reject })
      this.#pumping ??= this.#pump()
    })
    return this.#meter.measure(appending, durable)
  }

  get totals(): JournalTotals {
    return this.#meter.totals
  }

  async close(): Promise<void> {
    await this.#pumping
    await this.#part?.close()
  }

  async #pump(): Promise<void> {
    // What arrives while one batch is being synced is the next batch.
    while (this.#waiting.length > 0) {
      await untilQuiet()
      await this.#write(this.#waiting.splice(0))
    }
    this.#pumping = undefined
  }

  async #write(batch: Waiting[]): Promise<void> {
    let rest = this.#failure ? onlyUndo(batch, this.#failure) : batch
    for (let tries = 0; rest.length > 0; tries++) {
      try {
        const records = rest.map((waiting) => waiting.json)
        const durable = rest.some((waiting) => waiting.durable)
        if (this.#part) await this.#part.write(records, durable)
        else await this.#goOn(records)
        for (const waiting of rest) waiting.resolve()
        return
      } catch (error) {
        const failure = await this.#fail(error)
        rest = onlyUndo(rest, failure)
        if (rest.length > 0 && isFull(error)) await this.#makeRoom().catch(() => undefined)
        if (tries + 1 < TRIES) continue
        for (const waiting of rest) waiting.reject(failure)
        return
      }
    }
  }

  /** After a failed sync the kernel may have dropped the pages: nothing written to this file can be trusted again. */
  async #fail(error: unknown): Promise<JournalError> {
    this.#failure ??= writeError(partFile(this.file, this.#newest), error)
    const part = this.#part
    this.#part = undefined
    if (part) this.#failed.push({ part: this.#newest, length: part.synced })
    await part?.close().catch(() => undefined)
    return this.#failure
  }

  /** The next file, which begins with where it goes on from. */
  async #goOn(records: string[]): Promise<void> {
    if (this.#newest >= LAST_PART) throw this.#failure ?? new Error('too many files')
    const next = this.#newest + 1
    const part = await PartWriter.create(partFile(this.file, next), this.#disk).catch((error: unknown) => {
      // An earlier attempt has left its name: nobody knows any more what is in it.
      if (isCode(error, 'EEXIST')) this.#newest = next
      throw error
    })
    const continued: Stamped = {
      type: 'run.continued',
      // Whatever the run's: its first file says that, and is read first.
      format: 1,
      run: runOfFile(this.file),
      after: this.#failed,
      error: messageOf(this.#failure),
      at: new Date().toISOString(),
    }
    this.#newest = next
    this.#part = part
    await part.write([JSON.stringify(continued), ...records], true)
  }
}

/** Refuses the others: no new fault begins on a disk that has failed. */
function onlyUndo(batch: Waiting[], failure: JournalError): Waiting[] {
  for (const waiting of batch) if (!waiting.undo) waiting.reject(failure)
  return batch.filter((waiting) => waiting.undo)
}

/**
 * Lets everybody who can go on now go on first. Those whose record was just synced append their next one then; without
 * this, they would miss the batch and wait for two syncs instead of one.
 */
function untilQuiet(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve))
}

function noRoom(): Promise<unknown> {
  return Promise.resolve()
}

function writeError(file: string, error: unknown): JournalError {
  return new JournalError('JOURNAL_WRITE', `cannot write the journal ${file}: ${messageOf(error)}`, { cause: error })
}
