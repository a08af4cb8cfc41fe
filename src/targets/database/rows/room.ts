/** How many more rows unique keys that are made of references leave room for, and what new rows are combined of where few are left. */
import { checksWithin, independent, parentsOf } from './parents.ts'
import { countParents } from './sample-parents.ts'
import type { Parents } from './parents.ts'
import type { Picking } from './batch.ts'
import type { Queries } from '../client.ts'
import type { Samples } from '../verbs/reading.ts'
import type { ForeignKey, Index, Table } from './facts.ts'

/** So many combinations of parents are always looked through for those that are free. */
const FEW = 100_000
/** With more, one in so many must be taken: otherwise random ones are free. */
const CROWDED = 10
/** Rows of a parent that are counted one by one. */
const COUNTED = 10_000

/** The unique keys that the columns of these foreign keys make alone. */
export function keysOf(table: Table, group: readonly ForeignKey[]): string[][] {
  const columns = new Set(group.flatMap((key) => key.columns))
  return table.indexes
    .filter((i) => i.unique)
    .map(partsOf)
    .filter((parts) => parts.length > 0 && parts.every((name) => columns.has(name)))
}

/** The columns that decide whether rows collide. */
export function partsOf({ total, columns, uses }: Index): string[] {
  return total ? columns : uses
}

/**
 * Foreign keys in groups, of which those that a unique key is made of are one where most of their combinations may be there:
 * then unused ones are sampled, and none is left out for a collision.
 */
export async function combineCrowded(
  samples: Samples,
  reader: Queries,
  { table, groups }: { table: Table; groups: ForeignKey[][] },
  filled: ReadonlyMap<string, number>,
): Promise<ForeignKey[][]> {
  let found = groups
  for (const { unique, total, columns: uses } of table.indexes) {
    if (!unique || !total) continue
    const used = found.filter((group) => group.some((k) => k.columns.some((name) => uses.includes(name))))
    const columns = used.flatMap((group) => group.flatMap((k) => k.columns))
    if (used.length < 2 || !uses.every((name) => columns.includes(name))) continue
    const optional = columns.filter((name) => !table.columns.find((c) => c.name === name)?.notNull)
    // Then a CHECK says which of them are NULL, each by itself.
    if (table.checks.some((check) => check.columns.some((name) => optional.includes(name)))) continue
    if (table.partitions?.columns.some((name) => columns.includes(name))) continue
    const sizes: number[] = []
    for (const group of used) sizes.push(await sizeOf(samples, reader, table, group, filled))
    if (optional.length > 0 && sizes.includes(0)) continue
    const combinations = sizes.reduce((product, size) => product * size, 1)
    if (combinations > FEW && table.rows * CROWDED < combinations) continue
    found = [...found.filter((group) => !used.includes(group)), used.flat()]
  }
  return found
}

/** The same, where a CHECK says which references go together and all of them must be there: one sample has tuples that satisfy it. */
export function combineChecked(table: Table, groups: ForeignKey[][]): ForeignKey[][] {
  let found = groups
  for (const check of table.checks) {
    const used = found.filter((group) => group.some((k) => k.columns.some((name) => check.columns.includes(name))))
    const columns = used.flatMap((group) => group.flatMap((k) => k.columns))
    if (used.length < 2 || !decided(table, columns).includes(check)) continue
    if (table.partitions?.columns.some((name) => columns.includes(name))) continue
    found = [...found.filter((group) => !used.includes(group)), used.flat()]
  }
  return found
}

/** CHECKs that the samples of parents satisfy, so that no value needs to be found for them. */
export function checksOfParents(table: Table, groups: readonly ForeignKey[][]): Table['checks'] {
  return groups.flatMap((group) =>
    decided(
      table,
      group.flatMap((k) => k.columns),
    ),
  )
}

/** CHECKs about these columns alone, none of which can be NULL. */
function decided(table: Table, columns: readonly string[]): Table['checks'] {
  const notNull = columns.filter((name) => table.columns.find((c) => c.name === name)?.notNull)
  return checksWithin(table, notNull)
}

export interface Fits {
  rows: number
  short?: string
}

/** `before` is how many rows earlier parts of the same run put into the table. */
export async function roomFor(
  samples: Samples,
  reader: Queries,
  table: Table,
  { parents, recipe }: { parents: readonly Parents[]; recipe: { picks: readonly Picking[] } },
  { rows, before, filled }: { rows: number; before: number; filled: ReadonlyMap<string, number> },
): Promise<Fits> {
  let fits: Fits = { rows }
  for (const [i, group] of parents.entries()) {
    const pick = recipe.picks[i]
    if (pick?.how !== 'each' || pick.optional) continue
    const wanted = fits.rows + before
    const free = await countParents(samples, reader, table, group, wanted)
    const come = free < wanted ? await toCome(samples, reader, table, group, filled) : 0
    const left = Math.max(0, free + come - before)
    if (left < fits.rows) fits = { rows: left, short: shortOf(table, group, left, rows) }
  }
  return fits
}

function shortOf({ id, references }: Table, { columns, tables }: Parents, left: number, rows: number): string {
  const parent = (schema: string, name: string): string =>
    references.find(({ to }) => to.schema === schema && to.table === name)?.to.id ?? `${schema}.${name}`
  const names = [...new Set(tables.map(({ schema, table }) => parent(schema, table)))].join(', ')
  const what = tables.length > 1 ? `combination of ${names}` : `row of ${names}`
  const unique = `its ${columns.join(', ')} must be unique`
  if (left === 0) return `every ${what} has a row of it already, and ${unique}`
  return `${id} takes ${left} of ${rows} rows: ${unique}, and every other ${what} has a row of it already`
}

/** Combinations that there are only once the same plan has filled parents. */
async function toCome(
  samples: Samples,
  reader: Queries,
  table: Table,
  { tables }: Parents,
  filled: ReadonlyMap<string, number>,
): Promise<number> {
  let [now, then] = [1, 1]
  // A parent that shares columns with another is found by them: it multiplies nothing.
  const apart = independent(tables)
  for (const parent of tables.filter((_, i) => apart.has(i))) {
    const key = table.references.find(({ to }) => to.schema === parent.schema && to.table === parent.table)
    const more = key ? (filled.get(key.to.id) ?? 0) : 0
    const size = more === 0 && tables.length === 1 ? 0 : await samples.count(reader, parent, COUNTED)
    now *= size
    then *= size + more
  }
  return then - now
}

async function sizeOf(
  samples: Samples,
  reader: Queries,
  table: Table,
  group: readonly ForeignKey[],
  filled: ReadonlyMap<string, number>,
): Promise<number> {
  const [first] = parentsOf(table, group, undefined, 1, filled).tables
  const [key] = group
  if (!first || !key) return 0
  const rows = key.toRows > COUNTED ? key.toRows : await samples.count(reader, first, COUNTED)
  return rows + (filled.get(key.to.id) ?? 0)
}

/** For later invocations of the same run: how many rows a batch takes of a table's room. `batch` is its name, unlike any other's. */
export function rowsMark(table: string, rows: number, batch: string): string {
  return `rows:${rows}:${batch}:${table}`
}

export function rowsMarked(taken: Iterable<string>, table: string): number {
  let rows = 0
  for (const mark of taken) {
    const [, n, of] = MARK.exec(mark) ?? []
    if (of === table) rows += Number(n)
  }
  return rows
}

const MARK = /^rows:(\d+):[a-z0-9]+\/\d+:([^]*)$/
