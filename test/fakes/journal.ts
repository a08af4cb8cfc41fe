/** A journal in memory: what was appended, in order, and how. */
import { JournalError } from '../../src/core/errors.ts'
import type { Journal, JournalRecord } from '../../src/journal/journal.ts'

export class FakeJournal implements Journal {
  readonly records: (JournalRecord & { durable: boolean })[] = []
  /** Called before a record counts; what it throws is what `append` rejects with, from then on. */
  readonly #before: (record: JournalRecord) => void | Promise<void>
  #broken: Error | undefined

  get failure(): Error | undefined {
    return this.#broken
  }

  constructor(before: (record: JournalRecord) => void | Promise<void> = () => undefined) {
    this.#before = before
  }

  async append(record: JournalRecord, options: { durable?: boolean } = {}): Promise<void> {
    try {
      if (this.#broken) throw this.#broken
      await this.#before(record)
    } catch (error) {
      this.#broken = error as Error
      throw error
    }
    this.records.push({ ...(JSON.parse(JSON.stringify(record)) as JournalRecord), durable: options.durable === true })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

export function diskFull(): JournalError {
  return new JournalError('JOURNAL_WRITE', 'cannot write the journal: no space left on device')
}
