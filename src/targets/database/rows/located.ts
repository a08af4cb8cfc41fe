/** Where a table of a step is now, and what its columns are called now: a migration may have renamed, retyped or dropped them. */
import { expandKeys } from './keys.ts'
import type { Key, Keys } from './keys.ts'
import type { TableRef } from './table-ref.ts'

/** A table of a step as it is now. */
export interface Located extends TableRef {
  oid: string
  /** It has the oid that the table had: the same one, whatever it is called. Otherwise it only has its name. */
  same: boolean
  /** A partition that has been detached since: the same one, but its columns have numbers of their own. */
  detached: boolean
  /** The file its rows are in; a table that was truncated or written anew has another. Null: it has none of its own. */
  filenode: string | null
}

export interface ColumnNow {
  name: string
  /** Castable. */
  type: string
  /** The same, of a domain what it is made of: a cast to that evaluates no CHECK. */
  cast: string
  /** Its equality where keys are compared, and others that an index may have. */
  equality: string
  equalities: readonly string[]
  /** An integer of any size. */
  integer: boolean
}

/** What a step knows of a column. */
export interface ColumnThen {
  name: string
  attnum?: number | undefined
}

/** Finds a column of a step in the table as it is now; undefined when it was dropped. */
export type Renamed = (column: ColumnThen) => ColumnNow | undefined

/** The key and its values in the table as it is now; a key without columns when one of them was dropped. `equality`: the server's own. */
export function keyNow(key: Key, keys: Keys, renamed: Renamed, equality: string): { key: Key; keys: Keys } {
  const now = key.columns.map((column) => ({ then: column, now: renamed(column) }))
  const columns = now.flatMap(({ then, now }) => {
    if (!now) return []
    // Types and operators come from the catalog, never out of a journal: there they would be somebody's SQL.
    const { name, cast: type, equalities } = now
    const known = then.equality === equality || equalities.includes(then.equality)
    return [{ ...then, name, type, equality: now.type === then.type && known ? then.equality : now.equality }]
  })
  if (columns.length < key.columns.length) return { key: { columns: [], integer: false }, keys }
  // Ranges are of numbers: as texts their values are named one by one.
  if (!key.integer || now.every(({ now }) => now?.integer)) return { key: { ...key, columns }, keys }
  return { key: { columns, integer: false }, keys: expandKeys(keys) }
}
