/** What one made-up value is to be like. */
import type { ValueType } from '../facts.ts'

export interface ValueSpec {
  type: ValueType
  /** Which of `formsOf(type)`. */
  form: string
  /** Every index gives another value. */
  unique: boolean
  /** Where unique numbers begin, so that they miss those that are there. */
  base?: string | undefined
  /** Six characters of base 36 that unique texts of one run have in common, and those of others do not. */
  run: string
}

/** Makes the value of row `index`; call it with rising indexes, each once. */
export type Maker = (index: number) => string
