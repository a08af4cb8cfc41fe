/** What rows that are there tell: samples of their keys and values, counts, and which values are free. */
import type { Queries } from '../client.ts'
import type { KeySample, Samples } from '../verbs/reading.ts'
import type { Column, Index, Table } from '../rows/facts.ts'
import type { Key } from '../rows/keys.ts'
import { isPlain, returnsExactly } from './catalog/encoding.ts'
import { keyCells, keyFrom } from './finder.ts'
import { staysFitting } from './page.ts'
import { countParents, parentsOf } from './sample-parents.ts'
import { quoteIdent, quoteTable } from './sql.ts'

export const samples: Samples = {
  parents: parentsOf,
  countParents,
  async count(on, table, most) {
    const [row] = await on.query(
      `select pg_catalog.count(*)::text as n from (select from ${quoteTable(table)} limit ${most}) c`,
    )
    return Number(row?.['n'] ?? 0)
  },
  async rows(on, table, columns, limit) {
    const cells = columns.map((name, i) => `${quoteIdent(name)}::text as c${i}`)
    const rows = await on.query(`select ${cells.join(', ')} from ${quoteTable(table)} limit ${limit}`)
    return rows.map((row) => columns.map((_, i) => row[`c${i}`] ?? null))
  },
  async largest(on, table, column, more) {
    const [row] = await on.query<{ last: string }>(
      `select (coalesce(max(${quoteIdent(column)}), 0)::numeric + $1::int)::text as last from ${quoteTable(table)}`,
      [String(more)],
    )
    return row?.last
  },
  unused,
  async allExact(on, table, columns, limit) {
    const exact = columns.map((name) => returnsExactly(`x.${quoteIdent(name)}::text`)).join(' and ')
    const [row] = await on.query<{ ok: string | null }>(
      `select pg_catalog.bool_and(${exact})::text as ok from (select * from ${quoteTable(table)} limit ${limit}) x`,
    )
    return row?.ok !== 'false'
  },
  staying: staysFitting,
  keys,
}

async function unused(
  on: Queries,
  table: Table,
  { columns, equality }: Index,
  tuples: readonly (readonly string[])[],
): Promise<number[]> {
  const cells = columns.map((_, i) => tuples.map((tuple) => tuple[i] ?? ''))
  const equal = columns.map((name, i) => {
    const type = table.columns.find((c) => c.name === name)?.baseType ?? 'text'
    return `t.${quoteIdent(name)} ${equality[i] ?? '='} v.c${i}::${type}`
  })
  const found = await on.query<{ ord: string }>(
    `select v.ord::text as ord from unnest(${cells.map((_, i) => `$${i + 1}::text[]`).join(', ')})
       with ordinality as v(${cells.map((_, i) => `c${i}`).join(', ')}, ord)
      where not exists (select from ${quoteTable(table)} t where ${equal.join(' and ')}) order by v.ord`,
    cells,
  )
  return found.map(({ ord }) => Number(ord) - 1)
}

async function keys(
  on: Queries,
  { table, key, columns }: { table: Table; key: Key; columns: readonly Column[] },
  { texts, fits, bytes: most, limit, seed, from }: KeySample,
): Promise<{ key: string[]; bytes: number }[]> {
  const cells = [...columns, ...key.columns].map((c) => `t.${quoteIdent(c.name)}::text`)
  const bytes = cells.map((cell) => `coalesce(octet_length(${cell}), 0)`)
  const such = (test: (text: string) => string): string =>
    cells.map((_, i) => `${test(`x.v${i}`)} is not false`).join(' and ')
  const inside = [...(fits === undefined ? [] : ['x.fits']), ...(texts === 'plain' ? [such(isPlain)] : [])]
  // Behind the limit: what is not sampled need not come to us.
  const exact = texts === 'exact' ? `where ${such(returnsExactly)}` : ''
  const sample = typeof from === 'object' ? `tablesample system (${from.percent}) repeatable (${seed})` : ''
  const order = from === 'first' ? '' : `order by md5(s.place::text || '${seed}')`
  const rows = await on.query(
    `select ${key.columns.map((_, i) => `x.k${i}`).join(', ')}, x.bytes from (
       select * from (select x.* from (select ${keyCells(key)}, (${bytes.join(' + ')}) as bytes, t.ctid as place, (${fits ?? 'true'}) as fits,
             ${cells.map((cell, i) => `${cell} as v${i}`).join(', ')}
         from ${quoteTable(table)} as t ${sample}) as x ${inside.length === 0 ? '' : `where ${inside.join(' and ')}`}) as s
      where s.bytes <= ${most} ${order} limit ${limit}) as x ${exact}`,
  )
  return rows.map((row) => ({ key: keyFrom(key, row), bytes: Number(row['bytes']) }))
}
