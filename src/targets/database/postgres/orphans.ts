/** Whether rows of others refer to keys of ours already. */
import type { Queries } from '../client.ts'
import { finder } from './finder.ts'
import type { Key, Keys } from '../rows/keys.ts'
import type { Value } from '../rows/batch.ts'
import { EQUALITY, quoteIdent, quoteTable } from './sql.ts'
import type { ForeignKey } from '../rows/facts.ts'
import type { TableRef } from '../rows/table-ref.ts'

/** The first of the foreign keys by which rows that were there before refer to these rows of ours, not yet committed. */
export async function firstAdopting(
  on: Queries,
  table: TableRef,
  { key, keys }: { key: Key; keys: Keys },
  referencing: readonly ForeignKey[],
): Promise<ForeignKey | undefined> {
  const { from, where, params } = finder(key, keys)
  for (const foreign of referencing) {
    // Without an index the referring table is read once, not once for each row of ours.
    await on.query(`set local enable_nestloop = ${foreign.fromIndexed ? 'on' : 'off'}`)
    const strange = foreign.from.id === table.id ? 'and c.xmin <> pg_current_xact_id()::xid' : ''
    const equal = foreign.refs.map((ref, i) => refers(foreign, i, `t.${quoteIdent(ref)}`))
    const [found] = await on.query(
      `select 1 as one from ${quoteTable(table)} as t, ${from} where ${where} and exists (
         select from ${quoteTable(foreign.from)} as c where ${equal.join(' and ')} ${strange}) limit 1`,
      params,
    )
    if (found) return foreign
  }
  await on.query('set local enable_nestloop = on')
  return undefined
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
  return `${referred} ${equality[i] ?? EQUALITY} c.${quoteIdent(columns[i] ?? '')}`
}
