/** How rows for one table are to be made so that it takes them, or why they cannot be. */
import type { Random } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Column, ForeignKey, Table } from './facts.ts'
import { satisfyChecks } from './checks.ts'
import type { Satisfied, Wanted } from './checks.ts'
import { FEW, spareFew } from './values/few.ts'
import { insertKeyOf } from './insert-key.ts'
import type { Key } from './keys.ts'
import { noForm } from '../postgres/catalog/encoding.ts'
import { groupReferences, markPlain, parentsOf, SAMPLE, sampleParents } from './parents.ts'
import { fitOnPage } from './row-width.ts'
import { checksOfParents, combineChecked, combineCrowded, keysOf, partsOf, roomFor } from './room.ts'
import type { Parents } from './parents.ts'
import type { Picking, Recipe, Source, Value } from './batch.ts'
import { isOdd } from './values/odd.ts'
import { quoteIdent, quoteTable, sqlState } from '../postgres/sql.ts'
import { base36, formFor, formsOf, maker, room, tellsOurs } from './values/value.ts'

export interface Cooked {
  recipe: Recipe
  parents: Parents[]
  key: Key
  /** The sequence that gives an integer key. */
  counter?: string
  /** What to do about unique keys: rows may collide with others; or they may, and the server cannot decide it row by row. */
  collisions: 'none' | 'skip' | 'fail'
  /** Somebody else could make the same keys: then only the transaction that wrote a row tells ours. */
  common: boolean
  /** About the bytes that one key takes in the journal. */
  keyBytes: number
  /** How many rows can go in, at least one: unique keys may have room for fewer than were asked for, and `short` says which. */
  rows: number
  short?: string
}

/** The share of NULLs where a column takes them. */
const NULLS = 0.1

/**
 * `filled` has the tables that the same plan fills before this one, with how many rows; `before` is how many the same run
 * puts into this one already. A text is the reason why not.
 */
export async function cook(
  reader: Queries,
  planned: Table,
  { rows, before }: { rows: number; before: number },
  filled: ReadonlyMap<string, number>,
  random: Random,
): Promise<Cooked | string> {
  const { table: marked, encoding } = await markPlain(reader, planned)
  const unmade = await refused(reader, planned, random)
  const { made: able } = layoutOf(planned, unmade)
  const key = insertKeyOf(marked, (column) => able.includes(column))
  if (typeof key === 'string') return key
  const { table } = key
  const single = layoutOf(table, unmade)
  const layout = { ...single, groups: combineChecked(table, await combineCrowded(reader, single, filled)) }
  const lost = layout.left.find((c) => c.notNull && !c.hasDefault)
  if (lost) return `column ${lost.name} is NOT NULL and values of its type ${lost.type} cannot be made`
  if (layout.made.length + layout.referring.size === 0) return 'it has no column to fill but those the server fills'
  const strange = table.columns.find(
    (c) => c.foreignDefault !== null && !layout.made.includes(c) && !layout.referring.has(c.name),
  )
  if (strange) return `code of others would run: ${strange.foreignDefault ?? ''}`
  const barred = table.columns.find((c) => layout.referring.has(c.name) && !c.mayInsert)
  if (barred) return `our role may not write its column ${barred.name}`
  const bases = await numberBases(reader, layout, rows)
  const full = layout.made.find(
    (c) =>
      layout.unique.has(c.name) &&
      key.index.columns.includes(c.name) &&
      !bases.has(c.name) &&
      room(c.value) > FEW &&
      room(c.value) < rows,
  )
  if (full) return `its key column ${full.name} has no room for ${rows} more rows`
  const parents = await oneParentEach(reader, layout, { filled, encoding, random })
  if (typeof parents === 'string') return parents
  const placing = await placingOf(reader, layout, rows, random)
  const wanted = wantedOf(layout, bases, { parents, ...placing }, base36(random, 6))
  const ofParents = checksOfParents(table, layout.groups)
  const others = { ...table, checks: table.checks.filter((check) => !ofParents.includes(check)) }
  const satisfied = await satisfyChecks(reader, others, wanted, random.fork('checks'))
  if (typeof satisfied === 'string') return satisfied
  const assembled = assemble(layout, wanted, satisfied, rows, filled)
  const { recipe, ...few } = await spareFew(reader, table, assembled.recipe, { rows, before })
  const made = { ...assembled, recipe }
  const wide = await fitOnPage(reader, table, made.recipe, parents)
  if (wide !== undefined) return wide
  const free = await roomFor(reader, table, made, { rows, before, filled })
  const fits = few.rows < free.rows ? few : free
  if (fits.rows === 0) return fits.short ?? 'it has no room for more rows'
  const counter = key.integer ? columnOf(table, key.columns[0]?.name ?? '')?.counter : null
  const sources = new Map(made.recipe.columns.map((c) => [c.name, c.source]))
  const [named] = key.columns
  if (
    table.indexes.length > planned.indexes.length &&
    named &&
    !tells(columnOf(table, named.name), sources.get(named.name))
  )
    return `it has no primary key and no unique key, and its CHECKs leave too few values of ${named.name}`
  return {
    ...made,
    ...fits,
    key: { columns: key.columns, integer: key.integer },
    ...(counter ? { counter } : {}),
    collisions: collisionsOf(table, sources),
    common: !key.columns.some(({ name }) => tells(columnOf(table, name), sources.get(name))),
    // Of an integer key each row may become a range of its own.
    keyBytes: key.integer
      ? 48
      : key.columns.reduce((sum, c) => sum + (sources.get(c.name)?.from === 'value' ? 45 : 70), 2),
  }
}

/** Columns whose type takes no value of ours on this server: it was built without XML, or the extension is another one. */
async function refused(reader: Queries, table: Table, random: Random): Promise<Set<string>> {
  const columns = new Set<string>()
  for (const { name, value, baseType } of table.columns.filter((c) => isOdd(c.value) && formsOf(c.value).length > 0)) {
    const make = maker({ type: value, form: 'any', unique: true, run: base36(random.fork(name), 6) }, random.fork(name))
    try {
      await reader.query(`select ($1::text::${baseType})::text as value`, [make(1)])
    } catch (error) {
      if (!/^(0A|22|42)/.test(sqlState(error) ?? '')) throw error
      columns.add(name)
    }
  }
  return columns
}

/** What each column of a table is to us. */
export interface Layout {
  table: Table
  /** Foreign keys that share columns, and all their columns. */
  groups: ForeignKey[][]
  referring: ReadonlySet<string>
  /** Columns whose values we make up. */
  made: Column[]
  /** Columns left to the server that no sequence or expression fills. */
  left: Column[]
  /** Made-up columns that must differ from row to row. */
  unique: ReadonlySet<string>
}

function layoutOf(table: Table, refused: ReadonlySet<string>): Layout {
  const groups = groupReferences(table)
  const referring = new Set(groups.flat().flatMap((k) => k.columns))
  const ours = table.columns.filter((c) => !c.generated && !c.sequence && !referring.has(c.name))
  const made = ours.filter((c) => c.mayInsert && formsOf(c.value).length > 0 && !refused.has(c.name))
  return {
    table,
    groups,
    referring,
    made,
    left: ours.filter((c) => !made.includes(c)),
    unique: uniqueColumns(table, made),
  }
}

function columnOf(table: Table, name: string): Column | undefined {
  return table.columns.find((c) => c.name === name)
}

/** For each unique index without a sequence one made-up column that makes its rows unique: the one with most room. */
function uniqueColumns(table: Table, made: readonly Column[]): Set<string> {
  const unique = new Set<string>()
  for (const index of table.indexes.filter((i) => i.unique || i.exclusion)) {
    const columns = partsOf(index).flatMap((name) => columnOf(table, name) ?? [])
    if (columns.some((c) => c.sequence || unique.has(c.name))) continue
    const [best] = columns.filter((c) => made.includes(c)).sort((a, b) => room(b.value) - room(a.value))
    if (best) unique.add(best.name)
  }
  return unique
}

const LARGEST: Record<string, bigint> = { int2: 2n ** 15n - 1n, int4: 2n ** 31n - 1n, int8: 2n ** 63n - 1n }

/** Where unique numbers begin: after the largest that is there. Left out where there is no room after it. */
async function numberBases(
  reader: Queries,
  { table, made, unique }: Layout,
  rows: number,
): Promise<Map<string, string>> {
  const bases = new Map<string, string>()
  for (const { name, value } of made) {
    const largest = LARGEST[value.name]
    if (!unique.has(name) || largest === undefined || value.array) continue
    const [row] = await reader
      .query<{ next: string }>(
        `select (greatest(max(${quoteIdent(name)}), 0)::numeric + 1)::text as next from ${quoteTable(table)}`,
      )
      .catch(() => []) // too large to look through without an index: then begin in the upper half
    const next = BigInt(row?.next ?? (largest / 2n).toString())
    if (next + BigInt(rows) <= largest) bases.set(name, next.toString())
  }
  return bases
}

/** An existing value for every foreign key column, to try CHECKs with; a text says which parent is missing. */
async function oneParentEach(
  reader: Queries,
  { table, groups }: Layout,
  { filled, encoding, random }: { filled: ReadonlyMap<string, number>; encoding: string | undefined; random: Random },
): Promise<Map<string, Value> | string> {
  const values = new Map<string, Value>()
  for (const group of groups) {
    const parents = parentsOf(table, group, undefined, SAMPLE, filled)
    const [tuple] = await sampleParents(reader, table, parents, 1, random.fork('parent'))
    const needed = parents.columns.find((name) => columnOf(table, name)?.notNull)
    if (!tuple && needed !== undefined && !group.some((k) => filled.has(k.to.id))) {
      const of = group.map((k) => k.to.id).join(', ')
      if (encoding !== undefined && group.some((k) => k.plain))
        return `column ${needed} must refer to a row of ${of}, and its texts ${noForm(encoding)}`
      const allowed = parents.holds ? ` that ${parents.holds.checks.join(' and ')} allows` : ''
      return `column ${needed} must refer to a row of ${of}, and there is none${allowed}`
    }
    parents.columns.forEach((name, i) => values.set(name, tuple?.[i] ?? standIn(columnOf(table, name))))
  }
  return values
}

/** What decides which partition a row goes to and is not made up: existing parents, and numbers that a sequence will give. */
interface Placing {
  pinned: ReadonlyMap<string, Value[]>
  numbers: ReadonlyMap<string, string>
}

async function placingOf(reader: Queries, { table, groups }: Layout, rows: number, random: Random): Promise<Placing> {
  const pinned = new Map<string, Value[]>()
  const numbers = new Map<string, string>()
  const deciding = table.partitions?.columns ?? []
  for (const group of groups) {
    const parents = parentsOf(table, group, undefined, SAMPLE, new Map())
    const [only] = parents.columns
    if (parents.columns.length > 1 || only === undefined || !deciding.includes(only)) continue
    const tuples = await sampleParents(reader, table, parents, PINNED, random.fork('pinned'))
    if (tuples.length > 0)
      pinned.set(
        only,
        tuples.map(([value = null]) => value),
      )
  }
  for (const { name } of table.columns.filter((c) => c.sequence && deciding.includes(c.name))) {
    const [row] = await reader.query<{ last: string }>(
      `select (coalesce(max(${quoteIdent(name)}), 0)::numeric + $1::int)::text as last from ${quoteTable(table)}`,
      [String(rows)],
    )
    if (row) numbers.set(name, row.last)
  }
  return { pinned, numbers }
}

/** Parents tried where a parent decides which partition its child goes to. */
const PINNED = 50

/** Something a CHECK can be tried with, for a column that the server or a later parent fills. */
function standIn(column: Column | undefined): Value {
  const name = column?.value.name ?? ''
  if (/^(int[248]|numeric|float[48])$/.test(name)) return name === 'int2' ? '30001' : '1000000007'
  if (name === 'uuid') return '00000000-0000-4000-a000-000000000000'
  return ['text', 'varchar', 'citext'].includes(name) ? 'chaos' : null
}

function wantedOf(
  { table, made, referring, unique }: Layout,
  bases: ReadonlyMap<string, string>,
  { parents, pinned, numbers }: Placing & { parents: ReadonlyMap<string, Value> },
  run: string,
): Map<string, Wanted> {
  return new Map(
    table.columns
      .filter((c) => !c.generated)
      .map((column) => {
        const { name, value } = column
        const wanted = { column, unique: unique.has(name), form: formFor(value, name), base: bases.get(name), run }
        const choices = pinned.get(name)
        if (choices) return [name, { ...wanted, parents: choices }]
        if (referring.has(name)) return [name, { ...wanted, parent: parents.get(name) ?? null }]
        return [name, made.includes(column) ? wanted : { ...wanted, omitted: numbers.get(name) ?? standIn(column) }]
      }),
  )
}

function assemble(
  { table, groups, made, unique }: Layout,
  wanted: ReadonlyMap<string, Wanted>,
  satisfied: Satisfied,
  rows: number,
  filled: ReadonlyMap<string, number>,
): { recipe: Recipe; parents: Parents[] } {
  const pooled = (name: string): { pool: number; at: number } | undefined => {
    const pool = satisfied.pools.findIndex((p) => p.columns.includes(name))
    return pool < 0 ? undefined : { pool, at: satisfied.pools[pool]?.columns.indexOf(name) ?? 0 }
  }
  const sources = new Map<string, Source>()
  for (const { name, value, notNull } of made) {
    const pool = pooled(name)
    const { form = 'any', base, run = '' } = wanted.get(name) ?? {}
    const invented = { type: value, form: satisfied.forms.get(name) ?? form, unique: unique.has(name), run }
    const start = base === undefined ? {} : { base }
    sources.set(
      name,
      pool ? { from: 'pool', ...pool } : { from: 'value', ...invented, ...start, nulls: notNull ? 0 : NULLS },
    )
  }
  const picks = pickings(table, groups, unique)
  const parents = groups.map((group, i) => {
    if (picks[i]?.how !== 'each') return parentsOf(table, group, undefined, SAMPLE, filled)
    const keys = keysOf(table, group)
    const limit = group.length > 1 ? SAMPLE : Math.max(SAMPLE, rows)
    return parentsOf(table, group, keys.length > 0 ? keys : [group.flatMap((k) => k.columns)], limit, filled)
  })
  for (const [parent, { columns }] of parents.entries()) {
    for (const [at, name] of columns.entries()) {
      const [gate, pick] = [pooled(name), picks[parent]]
      if (gate && wanted.get(name)?.parents) {
        sources.set(name, { from: 'pool', ...gate })
        continue
      }
      // Whether the reference is there is then the tuple's to say.
      if (gate && pick && !columnOf(table, name)?.notNull) picks[parent] = { ...pick, gate, nulls: 0 }
      sources.set(name, { from: 'parent', parent, at })
    }
  }
  const columns = table.columns.flatMap(({ name, attnum, type }) => {
    const source = sources.get(name)
    return source ? [{ name, attnum, type, source }] : []
  })
  return { recipe: { columns, pools: satisfied.pools.map((p) => p.rows), picks }, parents }
}

/** How each group of foreign keys picks its parents, so that unique keys made of nothing else stay unique. */
function pickings(table: Table, groups: readonly ForeignKey[][], unique: ReadonlySet<string>): Picking[] {
  const columns = groups.map((group) => [...new Set(group.flatMap((k) => k.columns))])
  const picks = columns.map((names): Picking => {
    const optional = names.every((name) => !columnOf(table, name)?.notNull)
    return { how: 'any', nulls: optional ? NULLS : 0, optional }
  })
  for (const index of table.indexes.filter((i) => i.unique)) {
    const parts = partsOf(index)
    if (parts.some((name) => unique.has(name) || columnOf(table, name)?.sequence)) continue
    const used = columns.flatMap((names, i) => (names.some((name) => parts.includes(name)) ? [i] : []))
    const [first, second] = used.map((i) => picks[i])
    const [group = []] = used.map((i) => groups[i])
    if (used.length === 1 && first && (group.length === 1 || keysOf(table, group).length > 0)) first.how = 'each'
    if (used.length === 2 && first?.how === 'any' && second?.how === 'any') first.how = second.how = 'diagonal'
  }
  return picks
}

function collisionsOf(table: Table, sources: ReadonlyMap<string, Source>): Cooked['collisions'] {
  const unique = table.indexes.filter((i) => i.unique || i.exclusion)
  if (unique.some((i) => !i.immediate)) return 'fail'
  const safe = unique.every((i) => partsOf(i).some((name) => tells(columnOf(table, name), sources.get(name))))
  return safe ? 'none' : 'skip'
}

/** Whether a key column tells our rows from everybody's: a sequence gives each number once. */
function tells(column: Column | undefined, source: Source | undefined): boolean {
  return column?.sequence === true || (source?.from === 'value' && source.unique && tellsOurs(source))
}
