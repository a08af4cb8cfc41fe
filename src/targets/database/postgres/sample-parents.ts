/** Rows that foreign keys may refer to, sampled with one query. */
import type { Queries } from '../client.ts'
import type { ParentSample } from '../verbs/reading.ts'
import type { Value } from '../rows/batch.ts'
import { independent } from '../rows/parents.ts'
import type { Parents } from '../rows/parents.ts'
import type { TableRef } from '../rows/table-ref.ts'
import { isPlain } from './catalog/encoding.ts'
import { EQUALITY, quoteIdent, quoteTable } from './sql.ts'

type Name = Pick<TableRef, 'schema' | 'table'>

export async function parentsOf(on: Queries, table: Name, parents: Parents, sample: ParentSample): Promise<Value[][]> {
  const rows = await on.query(sampleSql(table, parents, sample))
  return rows.map((row) => parents.columns.map((_, i) => row[`c${i}`] ?? null))
}

export async function countParents(on: Queries, table: Name, parents: Parents, sample: ParentSample): Promise<number> {
  const [row] = await on.query(`select pg_catalog.count(*)::text as n from (${sampleSql(table, parents, sample)}) f`)
  return Number(row?.['n'] ?? 0)
}

/** Combinations of parents looked through where only those are wanted that are not there yet, or that satisfy CHECKs. */
const COMBINED = { unused: 1_000_000, holding: 10_000 }

function sampleSql(
  table: Name,
  { tables, columns, unused, keys = [columns], holds }: Parents,
  { limit, pages, seed }: ParentSample,
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
      return already === undefined ? [] : [`x.${quoteIdent(refs[r] ?? '')} ${equality[r] ?? EQUALITY} ${already.cell}`]
    })
    const present = refs.flatMap((ref) => [
      `x.${quoteIdent(ref)} is not null`,
      ...(plain === true ? [isPlain(`x.${quoteIdent(ref)}::text`)] : []),
    ])
    at.forEach((column, r) => {
      if (!filled.has(column)) filled.set(column, { cell: `p${p}.r${r}`, equality: equality[r] ?? EQUALITY })
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
  return { cell: `x.${quoteIdent(refs[r] ?? '')}`, equality: equality[r] ?? EQUALITY }
}

/** The condition that a tuple of these cells satisfies the CHECKs, which name its columns. */
function holdingOf(columns: readonly string[], holds: Parents['holds'], cellOf: (name: string) => string): string[] {
  if (!holds) return []
  const tuple = columns.map((name, i) => `${cellOf(name)}::${holds.types[i] ?? 'text'} as ${quoteIdent(name)}`)
  const checks = holds.checks.map((check) => `(${check}) is not false`)
  return [`(select ${checks.join(' and ')} from (select ${tuple.join(', ')}) v)`]
}

function freeOf(table: Name, key: readonly string[], cellOf: (name: string) => Cell | undefined): string {
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
