/** The keys that name rows of ours: as the journal holds them, and in batches. */
import { z } from 'zod'
import type { Index, Table } from './facts.ts'

/** The columns that name a row. */
export const keySchema = z.object({
  columns: z.array(
    z.object({
      name: z.string(),
      /** Its number in the table; not in old journals. */
      attnum: z.int().optional(),
      /** Castable. */
      type: z.string(),
      /** The index's own equality, as its dialect writes it: with another the index could not be used. */
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

/** The primary key, or else a unique index that can stand in for one. `equality`: for an index that has none of its own. */
export function keyOf(table: Table, equality: string): (Key & { index: Index }) | undefined {
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
    equality: index.equality[i] ?? equality,
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

/** How a kept row is called for a person: `public.users 42`. */
export function rowName(table: string, tuple: readonly string[]): string {
  return `${table} ${tuple.map((part) => (part.length > 60 ? `${part.slice(0, 59)}…` : part)).join(', ')}`
}
