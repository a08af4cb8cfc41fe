/** Values of rows before and after a change of ours, by the keys of the rows. */
import type { Value } from './batch.ts'
import type { Key } from './keys.ts'
import type { Located } from './located.ts'

/** Rows by key, with the texts of some columns before and after our change. */
export interface Swap {
  table: Located
  key: Key
  /** `type` is castable; `bits`: how many somebody else would have to guess to write a value of ours. */
  columns: readonly { name: string; type: string; bits: number }[]
  rows: readonly SwapRow[]
}

export interface SwapRow {
  key: string[]
  before: Value[]
  ours: Value[]
}

/** `gone`: no row has the key. */
export type RowState = 'ours' | 'restored' | 'foreign' | 'gone'
