/** The keys that name rows of ours: as the journal holds them, in batches, and as SQL that finds the rows. */
import { z } from 'zod'
import type { Index, Table } from './facts.ts'
import { isBuiltinType, quoteIdent } from '../postgres/sql.ts'

/** The columns that name a row. */
export const keySchema = z.object({
  columns: z.array(
    z.object({
      name: z.string(),
      /** Its number in the table; not in old journals. */
      attnum: z.int().optional(),
      /** Castable. */
      type: z.string(),
      /** The index's own equality, `OPERATOR(schema.=)`: with another the index could not be used. */
      equality: z.string(),
    }),
  ),
  /** One integer column: keys are kept as ranges. */
  integer: z.boolean(),
})

export type Key = z.infer<typeof keySchema>

/** Of an integer key ranges `[first, last]`; otherwise one tuple of texts for each row. */
export type Keys = string[][]

export const keysSchema = z.array(z.array(z.string()))

/** The primary key, or else a unique index that can stand in for one. */
export function keyOf(table: Table): (Key & { index: Index }) | undefined {
  const usable = table.indexes.filter(
    (index) =>
      index.unique &&
      index.immediate &&
      index.total &&
      index.columns.length > 0 &&
      index.columns.every((name) => table.columns.find((c) => c.name === name)?.notNull),
  )
  const index = usable.find((i) => i.primary) ?? usable.sort((a, b) => a.columns.length - b.columns.length)[0]
  if (!index) return undefined
  const columns = index.columns.map((name, i) => ({
    name,
    ...numberOf(table, name),
    type: table.columns.find((c) => c.name === name)?.type ?? 'text',
    equality: index.equality[i] ?? 'OPERATOR(pg_catalog.=)',
  }))
  const only = columns.length === 1 ? table.columns.find((c) => c.name === columns[0]?.name) : undefined
  const integer = only !== undefined && /^int[248]$/.test(only.value.name) && !only.value.array
  return { columns, integer, index }
}

function numberOf(table: Table, name: string): { attnum?: number } {
  const column = table.columns.find((c) => c.name === name)
  return column ? { attnum: column.attnum } : {}
}

/** Keys of rows as the journal holds them: single integers become ranges. */
export function foldKeys(key: Pick<Key, 'integer'>, tuples: readonly string[][]): Keys {
  if (!key.integer) return [...tuples]
  const sorted = tuples.map(([only = '0']) => BigInt(only)).sort((a, b) => (a < b ? -1 : 1))
  const ranges: [bigint, bigint][] = []
  for (const value of sorted) {
    const last = ranges.at(-1)
    if (last?.[1] === value - 1n) last[1] = value
    else ranges.push([value, value])
  }
  return ranges.map((range) => range.map(String))
}

/** Ranges of integers as one tuple for each row. */
export function expandKeys(keys: Keys): string[][] {
  return keys.flatMap(([first = '0', last = first]) =>
    Array.from({ length: Number(BigInt(last) - BigInt(first)) + 1 }, (_, i) => [String(BigInt(first) + BigInt(i))]),
  )
}

/** Whether keys that were read from a journal have the form that `foldKeys` gives them. */
export function areKeys(key: Key, keys: Keys): boolean {
  if (!key.integer) return keys.every((tuple) => tuple.length === key.columns.length)
  return keys.every((range) => {
    const [first = '', last = first] = range
    return range.length <= 2 && [first, last].every(isInteger) && BigInt(first) <= BigInt(last)
  })
}

function isInteger(text: string): boolean {
  return /^-?\d{1,19}$/.test(text)
}

/** How many rows the keys name. */
export function countKeys(key: Pick<Key, 'integer'>, keys: Keys): number {
  if (!key.integer) return keys.length
  return keys.reduce((sum, [first = '0', last = first]) => sum + Number(BigInt(last) - BigInt(first)) + 1, 0)
}

/** The same keys in parts that name at most `size` rows each. */
export function* splitKeys(key: Pick<Key, 'integer'>, keys: Keys, size: number): Generator<Keys> {
  let part: Keys = []
  let count = 0
  for (const entry of keys) {
    for (const piece of key.integer ? splitRange(entry, size - count, size) : [entry]) {
      part.push(piece)
      count += countKeys(key, [piece])
      if (count >= size) {
        yield part
        ;[part, count] = [[], 0]
      }
    }
  }
  if (part.length > 0) yield part
}

function* splitRange([first = '0', last = first]: string[], room: number, size: number): Generator<string[]> {
  const end = BigInt(last)
  let from = BigInt(first)
  for (let take = BigInt(room); from <= end; take = BigInt(size)) {
    const to = from + take - 1n < end ? from + take - 1n : end
    yield [from.toString(), to.toString()]
    from = to + 1n
  }
}

/**
 * SQL that finds rows by key in a table called `t`: a FROM item (for tuples with `ord`, the number of the key from 1), a
 * condition, and its parameters $1…
 */
export interface Finder {
  from: string
  where: string
  params: (string | string[])[]
}

export function finder(key: Key, keys: Keys, alias = 'r'): Finder {
  const [first] = key.columns
  if (key.integer && first) return integerFinder(first, keys)
  const names = key.columns.map((_, i) => `k${i}`)
  const arrays = key.columns.map((_, i) => `$${i + 1}::text[]`)
  const casts = key.columns.map((column, i) => `k${i}::${column.type} as k${i}`)
  return {
    from: `(select ${casts.join(', ')}, ord from unnest(${arrays.join(', ')}) with ordinality as u(${names.join(', ')}, ord)) as ${alias}`,
    where: key.columns.map((c, i) => `t.${quoteIdent(c.name)} ${c.equality} ${alias}.k${i}`).join(' and '),
    params: key.columns.map((_, i) => keys.map((tuple) => tuple[i] ?? '')),
  }
}

/** The same key for a person, where no catalog can be asked: what is no type of the server's own is compared as text. */
export function keyByHand(key: Key): Key {
  const columns = key.columns.map((column) => {
    if (key.integer) return { ...column, type: /^(?:smallint|integer)$/.test(column.type) ? column.type : 'bigint' }
    if (isBuiltinType(column.type)) return { ...column, equality: 'operator(pg_catalog.=)' }
    return { ...column, type: 'text', equality: '::text collate "C" operator(pg_catalog.=)' }
  })
  return { ...key, columns }
}

/** Ranges up to so many are conditions of their own; more are taken apart into single keys. */
const RANGES = 16

/** No join: of a join with ranges the planner believes that each finds a ninth of the table, and reads all of it. */
function integerFinder({ name, type }: Key['columns'][number], keys: Keys): Finder {
  const column = `t.${quoteIdent(name)}`
  const from = '(select 1) as r'
  if (keys.length <= RANGES) {
    const where = keys.map((_, i) => `${column} between $${2 * i + 1}::text::${type} and $${2 * i + 2}::text::${type}`)
    return { from, where: `(${where.join(' or ')})`, params: keys.flatMap(([a = '', b = a]) => [a, b]) }
  }
  const single = keys.flatMap(([a = '0', b = a]) => {
    const first = BigInt(a)
    return Array.from({ length: Number(BigInt(b) - first) + 1 }, (_, i) => String(first + BigInt(i)))
  })
  return { from, where: `${column} = any($1::text[]::${type}[])`, params: [single] }
}

/** `t."a"::text as k0, …`: a row's key as the journal writes it. */
export function keyCells(key: Pick<Key, 'columns'>, alias = 't'): string {
  return key.columns.map((column, i) => `${alias}.${quoteIdent(column.name)}::text as k${i}`).join(', ')
}

/** The key out of a row read with `keyCells`. */
export function keyFrom(key: Pick<Key, 'columns'>, row: Record<string, string | null>): string[] {
  return key.columns.map((_, i) => row[`k${i}`] ?? '')
}

/** How a kept row is called for a person: `public.users 42`. */
export function rowName(table: string, tuple: readonly string[]): string {
  return `${table} ${tuple.map((part) => (part.length > 60 ? `${part.slice(0, 59)}…` : part)).join(', ')}`
}
