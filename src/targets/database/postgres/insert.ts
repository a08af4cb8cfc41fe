/** Inserting one batch in an open transaction, and learning the keys of exactly the rows that went in. */
import { TargetError } from '../../../core/errors.ts'
import type { Load } from '../verbs/writing.ts'
import { AdoptedError } from '../rows/adopted.ts'
import { orphaned } from './orphans.ts'
import type { DbSession, Queries } from '../client.ts'
import { keyCells, keyFrom } from './finder.ts'
import { countKeys, foldKeys } from '../rows/keys.ts'
import type { Keys } from '../rows/keys.ts'
import { copyText } from './copy-text.ts'
import { makeRows } from '../rows/batch.ts'
import type { Value } from '../rows/batch.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import type { TableRef } from '../rows/table-ref.ts'

/** Rows in one INSERT. */
const AT_ONCE = 500

/**
 * Inserts the rows in the fastest way that tells their keys: of those that went in. Undefined where parents ran out before
 * the first row.
 */
export async function insertBatch(
  session: DbSession,
  table: TableRef,
  load: Load,
  parents: readonly (readonly Value[])[][],
): Promise<Keys | undefined> {
  const rows = makeRows(load.recipe, load, parents)
  const given = load.key.columns.map(({ name }) => load.recipe.columns.findIndex((c) => c.name === name))
  if (load.direct && load.counter !== undefined) return copyCounted(session, table, load, rows, load.counter)
  if (load.direct && !given.includes(-1)) return copyGiven(session, table, load, rows, given)
  return sent(session, table, load, rows)
}

/** Nine tenths as fast as COPY alone: the keys are what the sequence gave since, in rows of this transaction. */
async function copyCounted(
  session: DbSession,
  table: TableRef,
  load: Load,
  rows: Iterable<Value[]>,
  counter: string,
): Promise<Keys | undefined> {
  const [before] = await session.query<{ n: string }>('select pg_catalog.nextval($1::text::regclass)::text as n', [
    counter,
  ])
  const count = await session.copyIn(copySql(table, load), copyText(rows))
  const column = `t.${quoteIdent(load.key.columns[0]?.name ?? '')}`
  // The new rows are at the end of the index, where the planner may not expect any.
  await session.query('set local enable_seqscan = off')
  const keys = await rangesOf(
    session,
    `select ${column}::pg_catalog.int8 as k0 from ${quoteTable(table)} as t where ${column}::pg_catalog.int8 operator(pg_catalog.>) ${before?.n ?? '0'} and t.xmin operator(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid`,
  )
  if (countKeys(load.key, keys) !== count) {
    throw new TargetError('TARGET_FAILED', `${count} rows went into ${table.table} but not all are to be found again`)
  }
  return count === 0 ? undefined : keys
}

/** Of keys that are made up here nothing needs to be asked. */
async function copyGiven(
  session: DbSession,
  table: TableRef,
  load: Load,
  rows: Iterable<Value[]>,
  given: number[],
): Promise<Keys | undefined> {
  const keys: string[][] = []
  function* tapped(): Generator<Value[]> {
    for (const row of rows) {
      keys.push(given.map((i) => row[i] ?? ''))
      yield row
    }
  }
  const count = await session.copyIn(copySql(table, load), copyText(tapped()))
  return count === 0 ? undefined : foldKeys(load.key, keys)
}

function copySql(table: TableRef, { recipe }: Load): string {
  return `copy ${quoteTable(table)} (${recipe.columns.map(({ name }) => quoteIdent(name)).join(', ')}) from stdin`
}

/** The integers `k0` of a query as ranges. Mostly it is one, which is cheap to see; islands are looked for only when not. */
async function rangesOf(session: Queries, sql: string): Promise<Keys> {
  const ranges = await session.query<{ first: string; last: string }>(
    `with ins as (${sql}), span as (
       select pg_catalog.min(k0)::bigint as first, pg_catalog.max(k0)::bigint as last, pg_catalog.count(*) as n from ins)
     select first::text, last::text from span where last - first + 1 = n
     union all
     select pg_catalog.min(k0)::text, pg_catalog.max(k0)::text
       from (select k0, k0 - pg_catalog.row_number() over (order by k0) as island from ins) as i
      where (select last - first + 1 <> n from span) group by island`,
  )
  return ranges.map(({ first, last }) => [first, last])
}

/**
 * COPY gives no keys and stops at the first collision: INSERT does neither. No temporary table in between: it is as fast
 * without, and one would show in whatever listens to DDL on the target.
 */
async function sent(
  session: DbSession,
  table: TableRef,
  load: Load,
  rows: Iterable<Value[]>,
): Promise<Keys | undefined> {
  const columns = [...columnsOf(load), ...numbered(load)]
  const names = columns.map((_, i) => `c${i}`).join(', ')
  const insert = insertSql(
    table,
    { ...load, columns },
    `select ${columns.map(({ type }, i) => `c${i}::${type}`).join(', ')}
       from rows from (${columns.map((_, i) => `pg_catalog.unnest($${i + 1}::text[])`).join(', ')}) as v(${names})`,
  )
  const keys: string[][] = []
  let any = false
  for (const part of inParts(rows, AT_ONCE)) {
    any = true
    const free = await freeOnes(session, table, load, part)
    if (free.length === 0) continue
    const params = columns.map((_, i) => free.map((row) => row[i] ?? null))
    const inserted = await session.query(`${insert} returning ${keyCells(load.key)}`, params)
    keys.push(...inserted.map((row) => keyFrom(load.key, row)))
  }
  return any ? foldKeys(load.key, keys) : undefined
}

function columnsOf({ recipe }: Load): { name: string; type: string }[] {
  return recipe.columns.map(({ name, type }) => ({ name, type }))
}

/** The key's column, where its numbers are drawn before the rows go in, so that some can be left out. */
function numbered({ avoid, counter, key }: Load): { name: string; type: string }[] {
  return avoid && counter !== undefined ? key.columns.map(({ name, type }) => ({ name, type })) : []
}

/** Rows that nobody refers to yet, each with its number where those are drawn. */
async function freeOnes(session: Queries, table: TableRef, load: Load, part: Value[][]): Promise<Value[][]> {
  const { avoid, counter, rows } = load
  const [first] = avoid ?? []
  if (!avoid || !first) return part
  const columns = [...columnsOf(load), ...numbered(load)]
  const free: Value[][] = []
  let drawn = 0
  for (let left = part; left.length > 0;) {
    const numbers = numbered(load).length === 0 ? [] : await draw(session, counter ?? '', left.length)
    const tried = left.map((row, i) => (numbers.length === 0 ? row : [...row, numbers[i] ?? null]))
    const taken = await orphaned(session, columns, tried, avoid)
    free.push(...tried.filter((_, i) => !taken.has(i)))
    if (numbers.length === 0) break
    left = left.filter((_, i) => taken.has(i))
    drawn += numbers.length
    if (left.length > 0 && drawn > 10 * rows + 1_000) throw new AdoptedError(table.id, first)
  }
  return free
}

async function draw(session: Queries, counter: string, count: number): Promise<string[]> {
  const rows = await session.query<{ n: string }>(
    'select pg_catalog.nextval($1::text::regclass)::text as n from pg_catalog.generate_series(1, $2::int)',
    [counter, count],
  )
  return rows.map(({ n }) => n)
}

function insertSql(table: TableRef, load: Load & { columns: readonly { name: string }[] }, select: string): string {
  const names = load.columns.map(({ name }) => quoteIdent(name)).join(', ')
  const collide = load.skipCollisions ? 'on conflict do nothing' : ''
  const over = numbered(load).length > 0 ? 'overriding system value' : ''
  return `insert into ${quoteTable(table)} as t (${names}) ${over} ${select} ${collide}`
}

function* inParts<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let part: T[] = []
  for (const item of items) {
    part.push(item)
    if (part.length === size) {
      yield part
      part = []
    }
  }
  if (part.length > 0) yield part
}
