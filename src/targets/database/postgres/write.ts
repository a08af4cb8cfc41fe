/** Overwriting values of rows in an open transaction. */
import type { Queries } from '../client.ts'
import type { LockedRow, RowsToChange } from '../verbs/writing.ts'
import type { Value } from '../rows/batch.ts'
import { finder } from './finder.ts'
import { returnsExactly } from './catalog/encoding.ts'
import { quoteIdent, quoteTable } from './sql.ts'

/** In the order of their keys, so that two of us do not wait for each other. */
export async function lockRows(on: Queries, { table, schema, key, keys, columns }: RowsToChange): Promise<LockedRow[]> {
  const { from, where, params } = finder(key, keys)
  const cells = columns.map(({ name }, i) => `t.${quoteIdent(name)}::text as c${i}`)
  const order = key.columns.map((c) => `t.${quoteIdent(c.name)}`)
  const exact = columns.map(({ name }) => `${returnsExactly(`t.${quoteIdent(name)}::text`)} is not false`)
  const rows = await on.query(
    `select r.ord::text as ord, (${exact.join(' and ')})::text as exact, ${cells.join(', ')}
       from ${quoteTable({ schema, table })} as t, ${from}
      where ${where} order by ${order.join(', ')} for no key update of t`,
    params,
  )
  // A text that has become one since the plan that would not go back as it was.
  const able = rows.filter((row) => row['exact'] === 'true')
  return able.map((row) => ({ at: Number(row['ord']) - 1, before: columns.map((_, i) => row[`c${i}`] ?? null) }))
}

/**
 * Writes values, a list for each column; without any those that are there. Returns, by the number of the key, what the server
 * made of them.
 */
export async function overwrite(
  on: Queries,
  { schema, table, key, keys, columns }: RowsToChange,
  made: readonly (readonly Value[])[] | undefined,
): Promise<Map<number, Value[]>> {
  const { from, where, params } = finder(key, keys)
  const arrays = columns.map((_, i) => `$${params.length + 1 + i}::text[]`)
  const names = columns.map((_, i) => `n${i}`)
  const sets = columns.map(({ name, type }, i) => {
    return `${quoteIdent(name)} = ${made === undefined ? `t.${quoteIdent(name)}` : `v.n${i}::${type}`}`
  })
  const values = made ?? columns.map(() => keys.map(() => null))
  const written = await on.query(
    `update ${quoteTable({ schema, table })} as t set ${sets.join(', ')} from ${from}
       join unnest(${arrays.join(', ')}) with ordinality as v(${names.join(', ')}, ord) using (ord)
      where ${where} returning r.ord::text as ord, ${columns.map(({ name }, i) => `t.${quoteIdent(name)}::text as c${i}`).join(', ')}`,
    [...params, ...values],
  )
  return new Map(written.map((row) => [Number(row['ord']) - 1, columns.map((_, i) => row[`c${i}`] ?? null)]))
}
