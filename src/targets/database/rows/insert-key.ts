/** The key by which rows of ours are found again, also where the table itself demands none: we choose what goes into it. */
import { keyOf } from './keys.ts'
import type { Key } from './keys.ts'
import type { Column, Index, Table } from './facts.ts'
import { lengthOf, tellsOurs } from './values/value.ts'

export interface InsertKey extends Key {
  index: Index
  /** The table with what our rows keep beyond what it demands: key columns are never NULL, and differ from row to row. */
  table: Table
}

/** Rows of a table without an index on the key up to which its look-up may read all of it. */
const READ_WHOLE = 5_000_000

/**
 * A primary key or a unique key; a unique key that is NOT NULL in our rows; a number or a value that only our rows have.
 * `equality`: the server's own.
 */
export function insertKeyOf(table: Table, makes: (column: Column) => boolean, equality: string): InsertKey | string {
  const strict = keyOf(table, equality)
  if (strict) return { ...strict, table }
  const ours = (column: Column): boolean => column.notNull || column.sequence || makes(column)
  const filled = { ...table, columns: table.columns.map((c) => (ours(c) ? { ...c, notNull: true } : c)) }
  const chosen = keyOf(filled, equality)
  if (chosen) {
    const inKey = (c: Column): boolean => chosen.index.columns.includes(c.name)
    return {
      ...chosen,
      table: { ...table, columns: table.columns.map((c) => (inKey(c) ? { ...c, notNull: true } : c)) },
    }
  }
  const telling = table.columns.find((c) => c.sequence) ?? table.columns.find((c) => makes(c) && isTelling(c))
  if (!telling)
    return 'it has no primary key and no unique key, and no column whose values would tell our rows from others'
  if (table.rows > READ_WHOLE)
    return 'it has no primary key and no unique key, and is too large to look through for our rows'
  const index = { ...ALONE, columns: [telling.name], uses: [telling.name], equality: [equality] }
  const columns = table.columns.map((c) => (c === telling ? { ...c, notNull: true } : c))
  const keyed = { ...table, columns, indexes: [...table.indexes, index] }
  const key = keyOf(keyed, equality)
  return key ? { ...key, table: keyed } : 'it has no primary key and no unique key'
}

/** Types of which a made-up value is nobody else's, and that the server's own equality compares. */
function isTelling({ value }: Column): boolean {
  if (value.array || value.name === 'citext' || value.name === 'name') return false
  return tellsOurs({ type: value, form: 'any', unique: true, run: '' }) && lengthOf(value) >= 12
}

const ALONE: Omit<Index, 'columns' | 'uses' | 'equality'> = {
  ...{ unique: true, primary: false, exclusion: false, immediate: true, total: true },
}
