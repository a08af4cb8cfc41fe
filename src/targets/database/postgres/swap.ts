/** Putting values of rows back by comparing, and reading how far that is: a value is ours, as before, or somebody else's. */
import type { Queries } from '../client.ts'
import type { Writing } from '../verbs/writing.ts'
import { finder } from './finder.ts'
import type { RowState, Swap, SwapRow } from '../rows/swap.ts'
import type { Value } from '../rows/batch.ts'
import { isBuiltinType, quoteIdent, quoteTable, sqlState } from './sql.ts'

/** Where a value is still ours, it becomes what it was before. Others stay. */
export async function swapBack(on: Queries, swap: Swap): Promise<void> {
  const { table, columns } = swap
  const { from, where, params } = source(swap)
  const sets = columns.map(({ name, type }, i) => {
    const column = quoteIdent(name)
    return `${column} = case when ${same(`t.${column}`, `r.o${i}`)} then r.b${i}::${type} else t.${column} end`
  })
  const any = columns.map(({ name }, i) => same(`t.${quoteIdent(name)}`, `r.o${i}`))
  await on.query(
    `update ${quoteTable(table)} as t set ${sets.join(', ')} from ${from} where ${where} and (${any.join(' or ')})`,
    params,
  )
}

/**
 * The rows with their texts as columns of the types of now show them. Texts that a new type does not take stay as they are:
 * then no value there is ours.
 */
export async function asTyped(
  on: Queries,
  columns: readonly { type: string; then: string }[],
  rows: readonly SwapRow[],
): Promise<SwapRow[]> {
  const typed = rows.map((row) => ({ ...row, before: [...row.before], ours: [...row.ours] }))
  for (const [i, { type, then }] of columns.entries()) {
    if (type === then) continue
    const texts = typed.flatMap(({ before, ours }) => [before[i] ?? null, ours[i] ?? null])
    const shown = await on
      .query<{ v: string | null }>(
        `select v::${isBuiltinType(then) ? `${then}::` : ''}${type}::text as v from unnest($1::text[]) with ordinality as u(v, ord) order by ord`,
        [texts],
      )
      .catch((error: unknown) => {
        if (sqlState(error) === undefined) throw error
        return undefined
      })
    if (!shown) continue
    for (const [r, row] of typed.entries()) {
      row.before[i] = shown[2 * r]?.v ?? null
      row.ours[i] = shown[2 * r + 1]?.v ?? null
    }
  }
  return typed
}

/** The state of each row, in order. Without a key nobody knows where the rows are. */
export async function statesOf(on: Queries, swap: Swap): Promise<RowState[]> {
  if (swap.key.columns.length === 0) return swap.rows.map(() => 'gone')
  const { from, where, params } = source(swap)
  const columns = swap.columns.map(({ name }) => `t.${quoteIdent(name)}`)
  const ours = columns.map((column, i) => same(column, `r.o${i}`)).join(' or ')
  const restored = columns.map((column, i) => `${text(column)} is not distinct from r.b${i}`).join(' and ')
  const rows = await on.query<{ ord: string; state: RowState }>(
    `select r.ord::text as ord, case when t.ctid is null then 'gone' when ${ours} then 'ours'
            when ${restored} then 'restored' else 'foreign' end as state
       from ${from} left join ${quoteTable(swap.table)} as t on ${where}`,
    params,
  )
  const states = new Map(rows.map((row) => [Number(row.ord), row.state]))
  return swap.rows.map((_, i) => states.get(i + 1) ?? 'gone')
}

/** Bits of a value that nobody else has, however many rows there are; and those to spare for each pair of rows otherwise. */
const TELLING = { anywhere: 40, spare: 13 }
/** About as many rows are on a page. */
const ROWS_PER_PAGE = 100
/** Pages looked through at a time when a row is not where its key says. */
const PAGES = 50_000

/**
 * Finds values of ours anywhere in the table, for rows whose key somebody has changed, and puts them back there where there
 * is `writing`. Returns how many values of ours there were. Reads the whole table, in parts.
 */
export async function swapStrays(
  on: Queries,
  { table, columns, rows }: Swap,
  options: { writing: Writing | undefined; signal: AbortSignal },
): Promise<number> {
  const [size] = await on.query<{ pages: string }>(
    // Of a partitioned table the largest partition counts: places are those within a partition.
    `select (max(pg_relation_size(part)) / current_setting('block_size')::bigint)::text as pages
       from (select to_regclass($1) union select relid from pg_partition_tree(to_regclass($1))) as parts(part)`,
    [table.id],
  )
  const pairs = rows.length * (Number(size?.pages ?? 0) + 1) * ROWS_PER_PAGE
  const tells = (column: Swap['columns'][number] | undefined): boolean =>
    column !== undefined && (column.bits >= TELLING.anywhere || column.bits - Math.log2(pairs) >= TELLING.spare)
  let found = 0
  for (let page = 0; page <= Number(size?.pages ?? 0); page += PAGES) {
    options.signal.throwIfAborted()
    // Those that need others beside them first: what is put back proves nothing any more.
    for (const [i, { name, type }] of [...columns.entries()].sort(([, a], [, b]) => a.bits - b.bits)) {
      const column = quoteIdent(name)
      const beside = columns.flatMap((c, k) => (tells(c) ? [same(`t.${quoteIdent(c.name)}`, `r.o${k}`)] : []))
      const proof = tells(columns[i]) ? [] : [`(${beside.join(' or ') || 'false'})`]
      const from = `unnest($1::text[], ${columns.map((_, k) => `$${k + 2}::text[]`).join(', ')}) as r(b, ${columns.map((_, k) => `o${k}`).join(', ')})`
      const where = [
        same(`t.${column}`, `r.o${i}`),
        ...proof,
        `t.ctid >= '(${page},0)'::tid and t.ctid < '(${page + PAGES},0)'::tid`,
      ].join(' and ')
      const { writing } = options
      const sql =
        writing === undefined
          ? `select 1 as one from ${quoteTable(table)} as t, ${from} where ${where}`
          : `update ${quoteTable(table)} as t set ${column} = r.b::${type} from ${from} where ${where} returning 1 as one`
      const params = [
        rows.map((row) => row.before[i] ?? null),
        ...columns.map((_, k) => rows.map((row) => row.ours[k] ?? null)),
      ]
      const hits = await (writing === undefined ? on.query(sql, params) : writing((tx) => tx.query(sql, params)))
      found += hits.length
    }
  }
  return found
}

/** FROM item `r` with the key, `o0…` (ours) and `b0…` (before) of each row. */
function source({ key, columns, rows }: Swap): { from: string; where: string; params: (Value | Value[])[] } {
  const keys = rows.map((row) => row.key)
  const { where } = finder(key, keys)
  const { from, params } = finder(key, keys, 'k')
  const first = params.length + 1
  const cells = columns.flatMap((_, i) => [`o${i}`, `b${i}`])
  const arrays = cells.map((_, i) => `$${first + i}::text[]`)
  return {
    from: `(select k.*, ${cells.join(', ')} from ${from}
      join unnest(${arrays.join(', ')}) with ordinality as v(${cells.join(', ')}, ord) using (ord)) as r`,
    where,
    params: [
      ...params,
      ...columns.flatMap((_, i) => [rows.map((row) => row.ours[i] ?? null), rows.map((row) => row.before[i] ?? null)]),
    ],
  }
}

/** Byte for byte, whatever collation the column has; NULL is never ours. */
function same(column: string, value: string): string {
  return `${text(column)} = ${value}`
}

function text(column: string): string {
  return `${column}::text collate "C"`
}
