/** Rows that a table's foreign keys may refer to: which keys belong together, and how existing rows are sampled. */
import { z } from 'zod'
import type { Random } from '../../../core/random.ts'
import { foreignEncoding, isPlain, isUnreadable, returnsExactly } from '../postgres/catalog/encoding.ts'
import type { Queries } from '../client.ts'
import type { ForeignKey, Table } from './facts.ts'
import type { Value } from './batch.ts'
import { quoteIdent, quoteTable } from '../postgres/sql.ts'
import type { TableRef } from './names.ts'

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
      /** Only rows whose texts are ASCII: others have keys that do not reach us as they are. */
      plain: z.literal(true).optional(),
    }),
  ),
  /** Only tuples that no row of the referring table has yet. */
  unused: z.boolean(),
  /** The unique keys of the referring table that are made of these columns alone; absent: all columns together are one. */
  keys: z.array(z.array(z.string())).optional(),
  /** CHECKs of the referring table about these columns alone, which a tuple must satisfy, with the columns' types. */
  holds: z.object({ checks: z.array(z.string()), types: z.array(z.string()) }).optional(),
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

/**
 * `limit` is how many a sample will ask for; `more` rows are in a table, by id, before it is sampled. `unique` has the keys
 * that tuples must not have in common with rows that are there: with it, only unused ones are sampled.
 */
export function parentsOf(
  table: Table,
  keys: readonly ForeignKey[],
  unique: readonly string[][] | undefined,
  limit: number,
  more: ReadonlyMap<string, number>,
): Parents {
  const columns = [...new Set(keys.flatMap((key) => key.columns))]
  const checks = checksWithin(table, columns).map((check) => check.expression)
  const types = columns.map((name) => table.columns.find((c) => c.name === name)?.baseType ?? 'text')
  return {
    columns,
    unused: unique !== undefined,
    ...(checks.length > 0 ? { holds: { checks, types } } : {}),
    ...(unique ? { keys: [...unique] } : {}),
    tables: keys.map((key) => {
      const rows = key.toRows + (more.get(key.to.id) ?? 0)
      return {
        schema: key.to.schema,
        table: key.to.table,
        refs: key.refs,
        at: key.columns.map((column) => columns.indexOf(column)),
        equality: key.equality,
        ...(key.plain === true ? { plain: true as const } : {}),
        ...(rows > EVENLY ? { percent: Math.min(100, Math.max(0.01, (500 * limit) / rows)) } : {}),
      }
    }),
  }
}

/** CHECKs that speak of these columns alone. */
export function checksWithin({ checks }: Table, columns: readonly string[]): Table['checks'] {
  return checks.filter((check) => check.columns.length > 0 && check.columns.every((name) => columns.includes(name)))
}

/** Tuples of existing parents, at most `limit`, spread over the table; the same for the same seed. Empty when there are none. */
export async function sampleParents(
  on: Queries,
  table: Pick<TableRef, 'schema' | 'table'>,
  parents: Parents,
  limit: number,
  random: Random,
): Promise<Value[][]> {
  const seed = random.fork(parents.columns.join()).int(2 ** 40)
  const sampled = await on.query(sampleSql(table, parents, { limit, pages: true, seed }))
  const rows = isEnough(sampled.length, parents, limit)
    ? sampled
    : await on.query(sampleSql(table, parents, { limit, pages: false, seed }))
  return rows.map((row) => parents.columns.map((_, i) => row[`c${i}`] ?? null))
}

/** Rows of a parent that are read to see whether their keys reach us as they are. */
const READ = 200_000

/** The table's foreign keys, marked where some of their parents have keys that do not reach us as they are. */
export async function markPlain(reader: Queries, table: Table): Promise<{ table: Table; encoding?: string }> {
  const texts = (key: ForeignKey): boolean =>
    key.columns.some((name) => !ASCII.test(table.columns.find((c) => c.name === name)?.value.name ?? ''))
  const encoding = table.references.some(texts) ? await foreignEncoding(reader) : undefined
  if (encoding === undefined) return { table }
  const references: ForeignKey[] = []
  for (const key of table.references) {
    const plain = texts(key) && !(await allReturn(reader, key))
    references.push(plain ? { ...key, plain } : key)
  }
  return { table: { ...table, references }, encoding }
}

/** Types whose texts are ASCII. */
const ASCII = /^(int|uuid|numeric|float|date|time|bool|oid|bytea|inet|cidr|macaddr|interval)/

async function allReturn(reader: Queries, { to, refs }: ForeignKey): Promise<boolean> {
  const exact = refs.map((ref) => returnsExactly(`x.${quoteIdent(ref)}::text`)).join(' and ')
  try {
    const [row] = await reader.query<{ ok: string | null }>(
      `select pg_catalog.bool_and(${exact})::text as ok from (select * from ${quoteTable(to)} limit ${READ}) x`,
    )
    return row?.ok !== 'false'
  } catch (error) {
    if (!isUnreadable(error)) throw error
    return false
  }
}

/** How many tuples a sample would have now, at most `limit`. */
export async function countParents(
  on: Queries,
  table: Pick<TableRef, 'schema' | 'table'>,
  parents: Parents,
  limit: number,
): Promise<number> {
  const count = async (pages: boolean): Promise<number> => {
    const [row] = await on.query(
      `select pg_catalog.count(*)::text as n from (${sampleSql(table, parents, { limit, pages, seed: 0 })}) f`,
    )
    return Number(row?.['n'] ?? 0)
  }
  const sampled = await count(true)
  return isEnough(sampled, parents, limit) ? sampled : Math.max(sampled, await count(false))
}

/** A sample by pages can miss a table that is smaller than it was, or come back short where most parents are used. */
function isEnough(found: number, { tables, unused }: Parents, limit: number): boolean {
  if (found >= limit || tables.every(({ percent }) => percent === undefined)) return true
  return found > 0 && !unused
}

/** Combinations of parents looked through where only those are wanted that are not there yet, or that satisfy CHECKs. */
const COMBINED = { unused: 1_000_000, holding: 10_000 }

function sampleSql(
  table: Pick<TableRef, 'schema' | 'table'>,
  { tables, columns, unused, keys = [columns], holds }: Parents,
  { limit, pages, seed }: { limit: number; pages: boolean; seed: number },
): string {
  const filled = new Map<number, { cell: string; equality: string }>()
  const starts = independent(tables)
  // Of one table the server finds fitting rows by itself; several are combined first.
  const single = tables.length === 1
  const alone = unused && single
  const combines = !single && (unused || holds !== undefined)
  const each = combines ? Math.floor(COMBINED[unused ? 'unused' : 'holding'] ** (1 / tables.length)) : limit
  const joins = tables.map(({ refs, at, percent, equality = [], plain, ...parent }, p) => {
    const equal = at.flatMap((column, r) => {
      const already = filled.get(column)
      return already === undefined
        ? []
        : [`x.${quoteIdent(refs[r] ?? '')} ${equality[r] ?? 'OPERATOR(pg_catalog.=)'} ${already.cell}`]
    })
    const present = refs.flatMap((ref) => [
      `x.${quoteIdent(ref)} is not null`,
      ...(plain === true ? [isPlain(`x.${quoteIdent(ref)}::text`)] : []),
    ])
    at.forEach((column, r) => {
      if (!filled.has(column))
        filled.set(column, { cell: `p${p}.r${r}`, equality: equality[r] ?? 'OPERATOR(pg_catalog.=)' })
    })
    const cells = refs.map((ref, r) => `x.${quoteIdent(ref)} as r${r}`).join(', ')
    if (p === 0 || (combines && starts.has(p))) {
      // The fallback on a large table takes what comes first: sorting all of it would take too long.
      const order =
        pages || percent === undefined
          ? shuffled(
              refs.map((ref) => `x.${quoteIdent(ref)}`),
              seed,
            )
          : ''
      const sample = pages && percent !== undefined ? `tablesample system (${percent}) repeatable (${seed})` : ''
      const free = alone
        ? keys.map((key) => freeOf(table, key, (name) => cellOf(columns, at, refs, equality, name)))
        : []
      const own = (name: string): string => cellOf(columns, at, refs, equality, name).cell
      const holding = single ? holdingOf(columns, holds, own) : []
      const where = [...present, ...free, ...holding].join(' and ')
      return `(select ${cells} from ${quoteTable(parent)} x ${sample} where ${where} ${order} limit ${each}) p${p}`
    }
    return `lateral (select ${cells} from ${quoteTable(parent)} x where ${[...equal, ...present].join(' and ')} limit ${unused ? each : 3}) p${p}`
  })
  const cell = (i: number): string => filled.get(i)?.cell ?? 'null'
  const cells = columns.map((_, i) => `${cell(i)}::text as c${i}`)
  const from = `from ${joins.join(' cross join ')}`
  if (!combines) return distinctIn(`select ${cells.join(', ')} ${from} limit ${limit}`, alone ? keys : [], columns)
  const free = unused ? keys.map((key) => freeOf(table, key, (name) => filled.get(columns.indexOf(name)))) : []
  const fitting = [...free, ...holdingOf(columns, holds, (name) => cell(columns.indexOf(name)))].join(' and ')
  const order = shuffled(
    columns.map((_, i) => cell(i)),
    seed,
  )
  const combined = `select ${cells.join(', ')} ${from} where ${fitting} ${order}`
  if (!unused) return `${combined} limit ${limit}`
  const again = shuffled(
    columns.map((_, i) => `s.c${i}`),
    seed,
  )
  return `select * from (${distinctIn(combined, keys, columns)}) s ${again} limit ${limit}`
}

/** An order without any pattern that is the same for the same seed, which the server's own random() is not. */
function shuffled(cells: readonly string[], seed: number): string {
  const text = `pg_catalog.concat_ws(' ', ${cells.join(', ')})`
  return `order by pg_catalog.hashtextextended(${text} collate pg_catalog."C", ${seed})`
}

/** Which tables have no column in common with those before them. */
export function independent(tables: Parents['tables']): Set<number> {
  const filled = new Set<number>()
  const starts = new Set<number>()
  for (const [p, { at }] of tables.entries()) {
    if (!at.some((column) => filled.has(column))) starts.add(p)
    for (const column of at) filled.add(column)
  }
  return starts
}

interface Cell {
  cell: string
  equality: string
}

/** Where the column stands in a row `x` of the only parent. */
function cellOf(
  columns: readonly string[],
  at: readonly number[],
  refs: readonly string[],
  equality: readonly string[],
  name: string,
): Cell {
  const r = at.indexOf(columns.indexOf(name))
  return { cell: `x.${quoteIdent(refs[r] ?? '')}`, equality: equality[r] ?? 'OPERATOR(pg_catalog.=)' }
}

/** The condition that a tuple of these cells satisfies the CHECKs, which name its columns. */
function holdingOf(columns: readonly string[], holds: Parents['holds'], cellOf: (name: string) => string): string[] {
  if (!holds) return []
  const tuple = columns.map((name, i) => `${cellOf(name)}::${holds.types[i] ?? 'text'} as ${quoteIdent(name)}`)
  const checks = holds.checks.map((check) => `(${check}) is not false`)
  return [`(select ${checks.join(' and ')} from (select ${tuple.join(', ')}) v)`]
}

function freeOf(
  table: Pick<TableRef, 'schema' | 'table'>,
  key: readonly string[],
  cellOf: (name: string) => Cell | undefined,
): string {
  const equal = key.flatMap((name) => {
    const found = cellOf(name)
    return found ? [`${found.cell} ${found.equality} o.${quoteIdent(name)}`] : []
  })
  return `not exists (select from ${quoteTable(table)} o where ${equal.join(' and ')})`
}

/** Tuples that differ in every key that is narrower than they are. */
function distinctIn(sql: string, keys: readonly string[][], columns: readonly string[]): string {
  return keys
    .filter((key) => key.length < columns.length)
    .reduce((inner, key) => {
      const cells = key.map((name) => `c${columns.indexOf(name)}`).join(', ')
      return `select distinct on (${cells}) * from (${inner}) d`
    }, sql)
}
