/** Putting values of rows back by comparing, and reading how far that is: a value is ours, as before, or somebody else's. */
import type { Queries } from './table-facts.ts'
import { finder } from './keys.ts'
import type { Key } from './keys.ts'
import type { Value } from './rows.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import type { TableRef } from './tables.ts'

/** Rows by key, with the texts of some columns before and after our change. */
export interface Swap {
  table: TableRef
  key: Key
  /** `type` is castable. */
  columns: readonly { name: string; type: string }[]
  rows: readonly SwapRow[]
}

export interface SwapRow {
  key: string[]
  before: Value[]
  ours: Value[]
}

/** `gone`: no row has the key. */
export type RowState = 'ours' | 'restored' | 'foreign' | 'gone'

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

/** The state of each row, in order. */
export async function statesOf(on: Queries, swap: Swap): Promise<RowState[]> {
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

/** Pages looked through at a time when a row is not where its key says. */
const PAGES = 50_000

/**
 * Finds values of ours anywhere in the table, for rows whose key somebody has changed, and puts them back there unless
 * `readOnly`. Returns how many values of ours there were. Reads the whole table, in parts.
 */
export async function swapStrays(
  on: Queries,
  { table, columns, rows }: Swap,
  options: { readOnly: boolean; signal: AbortSignal },
): Promise<number> {
  const [size] = await on.query<{ pages: string }>(
    // Of a partitioned table the largest partition counts: places are those within a partition.
    `select (max(pg_relation_size(part)) / current_setting('block_size')::bigint)::text as pages
       from (select to_regclass($1) union select relid from pg_partition_tree(to_regclass($1))) as parts(part)`,
    [table.id],
  )
  let found = 0
  for (let page = 0; page <= Number(size?.pages ?? 0); page += PAGES) {
    options.signal.throwIfAborted()
    for (const [i, { name, type }] of columns.entries()) {
      const column = quoteIdent(name)
      const from = `unnest($1::text[], $2::text[]) as r(o, b)`
      const where = `${same(`t.${column}`, 'r.o')} and t.ctid >= '(${page},0)'::tid and t.ctid < '(${page + PAGES},0)'::tid`
      const hits = await on.query(
        options.readOnly
          ? `select 1 as one from ${quoteTable(table)} as t, ${from} where ${where}`
          : `update ${quoteTable(table)} as t set ${column} = r.b::${type} from ${from} where ${where} returning 1 as one`,
        [rows.map((row) => row.ours[i] ?? null), rows.map((row) => row.before[i] ?? null)],
      )
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
