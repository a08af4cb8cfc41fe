/** A journal that several places of one rollback read: each needs it as it stands now, and none of them more than once. */
import type { RunState } from '../journal/journal.ts'

/** Callers that ask while the file is read share the next read: the current one may miss what they have appended. */
export class FreshJournal {
  #reading: Promise<RunState> | undefined
  #next: Promise<RunState> | undefined
  readonly #readFile: () => Promise<RunState>
  constructor(readFile: () => Promise<RunState>) {
    this.#readFile = readFile
  }
  read(): Promise<RunState> {
    if (this.#reading === undefined) return this.#begin()
    this.#next ??= this.#reading.catch(() => undefined).then(() => this.#begin())
    return this.#next
  }
  #begin(): Promise<RunState> {
    this.#next = undefined
    const reading = this.#readFile().finally(() => {
      if (this.#reading === reading) this.#reading = undefined
    })
    this.#reading = reading
    return reading
  }
}
