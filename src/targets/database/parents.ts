/** Rows that a table's foreign keys may refer to: which keys belong together, and how existing rows are sampled. */
import { z } from 'zod'
import type { ForeignKey, Queries, Table } from './table-facts.ts'
import type { Value } from './rows.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import type { TableRef } from './tables.ts'

/** Foreign keys that share columns: one sampled tuple fills the columns of all of them. */
export const parentsSchema = z.object({
  /** Columns of the referring table; a sampled tuple has their values in this order. */
  columns: z.array(z.string()),
  /** Tables referred to, with their columns and where in the tuple those stand. The first is sampled, the others joined. */
  tables: z.array(
    z.object({
      schema: z.string(),
      table: z.string(),
      refs: z.array(z.string()),
      at: z.array(z.number()),
      /** The foreign key's own equality of each, `OPERATOR(schema.=)`; absent in journals of older versions. */
      equality: z.array(z.string()).optional(),
      /** Share of a large table to look at, percent. */
      percent: z.number().optional(),
    }),
  ),
  /** Only parents that no row of the referring table refers to yet. */
  unused: z.boolean(),
})

export type Parents = z.infer<typeof parentsSchema>

/** Parents sampled where each need not have a row of its own. */
export const SAMPLE = 1_000

/** Tables up to so many rows are sampled evenly, larger ones by pages. */
const EVENLY = 20_000

/** Foreign keys that share columns, as groups; the widest key of each comes first. */
export function groupReferences(table: Table): ForeignKey[][] {
  const groups: ForeignKey[][] = []
  for (const key of [...table.references].sort((a, b) => b.columns.length - a.columns.length)) {
    const touching = groups.filter((g) => g.some((k) => k.columns.some((c) => key.columns.includes(c))))
    for (const group of touching) groups.splice(groups.indexOf(group), 1)
    groups.push([...touching.flat(), key])
  }
  return groups
}

/** `limit` is how many a sample will ask for; `more` rows are in a table, by id, before it is sampled. */
export function parentsOf(
  keys: readonly ForeignKey[],
  unused: boolean,
  limit: number,
  more: ReadonlyMap<string, number>,
): Parents {
  const columns = [...new Set(keys.flatMap((key) => key.columns))]
  return {
    columns,
    unused,
    tables: keys.map((key) => {
      const rows = key.toRows + (more.get(key.to.id) ?? 0)
      return {
        schema: key.to.schema,
        table: key.to.table,
        refs: key.refs,
        at: key.columns.map((column) => columns.indexOf(column)),
        equality: key.equality,
        ...(rows > EVENLY ? { percent: Math.min(100, Math.max(0.01, (500 * limit) / rows)) } : {}),
      }
    }),
  }
}

/** Tuples of existing parents, at most `limit`, spread over the table. Empty when there are none. */
export async function sampleParents(
  on: Queries,
  table: Pick<TableRef, 'schema' | 'table'>,
  parents: Parents,
  limit: number,
): Promise<Value[][]> {
  const sampled = await on.query(sampleSql(table, parents, limit, true))
  // A sample by pages can miss a table that is smaller than it was, or come back short where most parents are used.
  const rows = sampled.length > 0 ? sampled : await on.query(sampleSql(table, parents, limit, false))
  return rows.map((row) => parents.columns.map((_, i) => row[`c${i}`] ?? null))
}

function sampleSql(
  table: Pick<TableRef, 'schema' | 'table'>,
  { tables, columns, unused }: Parents,
  limit: number,
  sample: boolean,
): string {
  const filled = new Map<number, string>()
  const joins = tables.map(({ refs, at, percent, equality = [], ...parent }, p) => {
    const equal = at.flatMap((column, r) => {
      const already = filled.get(column)
      return already === undefined ? [] : [`x.${quoteIdent(refs[r] ?? '')} ${equality[r] ?? '='} ${already}`]
    })
    const present = refs.map((ref) => `x.${quoteIdent(ref)} is not null`)
    at.forEach((column, r) => {
      if (!filled.has(column)) filled.set(column, `p${p}.r${r}`)
    })
    const cells = refs.map((ref, r) => `x.${quoteIdent(ref)} as r${r}`).join(', ')
    if (p === 0) {
      // The fallback on a large table takes what comes first: sorting all of it would take too long.
      const order = sample || percent === undefined ? 'order by pg_catalog.random()' : ''
      const pages = sample && percent !== undefined ? `tablesample system (${percent})` : ''
      const free = unused ? [freeOf(table, columns, refs, at, equality)] : []
      const where = [...present, ...free].join(' and ')
      return `(select ${cells} from ${quoteTable(parent)} x ${pages} where ${where} ${order} limit ${limit}) p0`
    }
    return `cross join lateral (select ${cells} from ${quoteTable(parent)} x where ${[...equal, ...present].join(' and ')} limit 3) p${p}`
  })
  const cells = columns.map((_, i) => `${filled.get(i) ?? 'null'}::text as c${i}`)
  return `select ${cells.join(', ')} from ${joins.join(' ')} limit ${limit}`
}

function freeOf(
  table: Pick<TableRef, 'schema' | 'table'>,
  columns: readonly string[],
  refs: readonly string[],
  at: readonly number[],
  equality: readonly string[],
): string {
  const equal = refs.map(
    (ref, r) => `x.${quoteIdent(ref)} ${equality[r] ?? '='} o.${quoteIdent(columns[at[r] ?? 0] ?? '')}`,
  )
  return `not exists (select from ${quoteTable(table)} o where ${equal.join(' and ')})`
}
