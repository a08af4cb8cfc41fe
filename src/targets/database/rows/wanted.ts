/** What is wanted of the values of one column. */
import type { Value } from './batch.ts'
import type { Column } from './facts.ts'

export interface Wanted {
  column: Column
  unique: boolean
  /** What the column gets when nothing else is known: a form of made-up values, or a value that stands for a parent's. */
  form: string
  /** For a foreign key: an existing value; only its being there or NULL can be chosen. */
  parent?: Value
  /** Values of existing parents to choose from, where it matters which one it is. */
  parents?: Value[]
  /** Left to the server; this value stands for it. */
  omitted?: Value
  base?: string | undefined
  run: string
}
