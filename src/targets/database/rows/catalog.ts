/** What the catalog says of tables, and what is said of texts that do not reach us as they are. */
import type { Queries } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { Table } from './facts.ts'
import type { Unfit } from './suitable.ts'
import type { TableRef } from './table-ref.ts'

/** The tables as they are now, by id; those that are gone are left out. A table whose definition has texts that cannot be read spoils no other. */
export async function readCatalog(
  { catalog, kindOf }: Dialect,
  reader: Queries,
  tables: readonly TableRef[],
): Promise<{ known: Map<string, Table>; unreadable: Map<string, Unfit> }> {
  try {
    return { known: await catalog.load(reader, tables), unreadable: new Map() }
  } catch (error) {
    if (kindOf(error) !== 'unreadable') throw error
  }
  const known = new Map<string, Table>()
  const unreadable = new Map<string, Unfit>()
  const encoding = (await catalog.encoding(reader)) ?? ''
  for (const ref of tables) {
    try {
      const table = (await catalog.load(reader, [ref])).get(ref.id)
      if (table) known.set(ref.id, table)
    } catch (error) {
      if (kindOf(error) !== 'unreadable') throw error
      unreadable.set(ref.id, { reason: `its definition has texts that ${noForm(encoding)}` })
    }
  }
  return { known, unreadable }
}

/** `… have no exact form in UTF-8: the database is in SQL_ASCII`. */
export function noForm(encoding: string): string {
  return `have no exact form in UTF-8: the database is in ${encoding}`
}
