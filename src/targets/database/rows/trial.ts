/** Tuples of values for some columns of a table, tried on the server against what must hold of them. */
import type { Queries } from '../client.ts'
import type { Trials } from '../verbs/reading.ts'
import type { Value } from './batch.ts'
import type { Column, Predicate, Table } from './facts.ts'

/** Queries for one trial, where tuples make the server fail. */
const ASKED = 200

export class Trial {
  readonly #ask: (tuples: Value[][]) => Promise<number[]>

  constructor(trials: Trials, reader: Queries, table: Table, predicates: Predicate[], columns: readonly Column[]) {
    const trial = trials.prepare(table, predicates, columns)
    this.#ask = async (tuples) => (tuples.length === 0 ? [] : trial(reader, tuples))
  }

  /** Those that pass, in their order. A tuple that makes the server fail (a division by zero) does not. */
  async passing(tuples: Value[][]): Promise<Value[][]> {
    const passed: Value[][] = []
    const waiting = [tuples]
    for (let asked = 0; asked < ASKED; asked++) {
      const some = waiting.pop()
      if (some === undefined) break
      try {
        const numbers = await this.#ask(some)
        passed.push(...numbers.flatMap((at) => some.slice(at, at + 1)))
      } catch {
        // One of them does: halves are asked for, the first one first.
        const half = Math.ceil(some.length / 2)
        if (some.length > 1) waiting.push(some.slice(half), some.slice(0, half))
      }
    }
    return passed
  }
}
