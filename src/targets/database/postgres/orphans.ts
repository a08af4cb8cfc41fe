/** Rows of others that already refer to a key which nobody has yet: a new row under that key would be theirs to keep. */
import type { Queries } from '../client.ts'
import { StaleError } from '../../../core/errors.ts'
import { finder } from '../rows/keys.ts'
import type { Key, Keys } from '../rows/keys.ts'
import type { Value } from '../rows/batch.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import type { ForeignKey } from '../rows/facts.ts'
import type { TableRef } from '../rows/names.ts'

/** Orphans refer to rows just inserted: they must not be committed. */
export class AdoptedError extends StaleError {}

/** Referring rows without an index above which nobody looks: they would all be read for each batch. */
const TOO_MANY = 1e7

/**
 * Throws AdoptedError when rows that were there before refer to one of ours, not yet committed: a foreign key that was
 * never validated or is not enforced, or rows loaded past it. The undo could not delete such a row without harm.
 */
export async function refuseAdopted(
  on: Queries,
  table: Pick<TableRef, 'id' | 'schema' | 'table'>,
  { key, keys, referencing }: { key: Key; keys: Keys; referencing: readonly ForeignKey[] },
): Promise<void> {
  const { from, where, params } = finder(key, keys)
  for (const foreign of referencing) {
    if (!foreign.fromIndexed && foreign.fromRows > TOO_MANY) continue
    // Without an index the referring table is read once, not once for each row of ours.
    await on.query(`set local enable_nestloop = ${foreign.fromIndexed ? 'on' : 'off'}`)
    const strange = foreign.from.id === table.id ? 'and c.xmin <> pg_current_xact_id()::xid' : ''
    const equal = foreign.refs.map((ref, i) => refers(foreign, i, `t.${quoteIdent(ref)}`))
    const [found] = await on.query(
      `select 1 as one from ${quoteTable(table)} as t, ${from} where ${where} and exists (
         select from ${quoteTable(foreign.from)} as c where ${equal.join(' and ')} ${strange}) limit 1`,
      params,
    )
    if (found) throw adopted(table.id, foreign)
  }
  await on.query('set local enable_nestloop = on')
}

export function adopted(table: string, { from, columns }: ForeignKey): AdoptedError {
  return new AdoptedError(
    `rows of ${from.id} refer (${columns.join(', ')}) to the keys that new rows of ${table} would get; delete or correct those first`,
  )
}

/** Numbers of those rows, from 0, that rows of others refer to already. `columns` are those of `rows`, with their types. */
export async function orphaned(
  on: Queries,
  columns: readonly { name: string; type: string }[],
  rows: readonly (readonly Value[])[],
  referencing: readonly ForeignKey[],
): Promise<Set<number>> {
  const at = (name: string): number => columns.findIndex((c) => c.name === name)
  const known = referencing.filter((foreign) => foreign.refs.every((ref) => at(ref) >= 0))
  const used = [...new Set(known.flatMap((foreign) => foreign.refs))].map(at)
  if (used.length === 0 || rows.length === 0) return new Set()
  const names = used.map((i) => `c${i}`)
  const reasons = known.map((foreign) => {
    const equal = foreign.refs.map((ref, i) => refers(foreign, i, `v.c${at(ref)}`))
    return `exists (select from ${quoteTable(foreign.from)} as c where ${equal.join(' and ')})`
  })
  const found = await on.query(
    `select v.ord::text as ord from (
       select u.ord, ${used.map((i) => `u.c${i}::${columns[i]?.type ?? 'text'} as c${i}`).join(', ')}
         from rows from (${used.map((_, n) => `pg_catalog.unnest($${n + 1}::text[])`).join(', ')})
              with ordinality as u(${names.join(', ')}, ord)) as v
      where ${reasons.join(' or ')}`,
    used.map((i) => rows.map((row) => row[i] ?? null)),
  )
  return new Set(found.map((row) => Number(row['ord']) - 1))
}

/** `t."id" OPERATOR(pg_catalog.=) c."parent_id"` */
function refers({ columns, equality }: ForeignKey, i: number, referred: string): string {
  return `${referred} ${equality[i] ?? 'OPERATOR(pg_catalog.=)'} c.${quoteIdent(columns[i] ?? '')}`
}
