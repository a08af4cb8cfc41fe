/** How rows for one table are to be made so that it takes them, or why they cannot be. */
import type { Random } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { Samples, Trials } from '../verbs/reading.ts'
import { assemble } from './assemble.ts'
import type { Recipe, Value } from './batch.ts'
import { noForm } from './catalog.ts'
import { satisfyChecks } from './checks.ts'
import type { Column, Table } from './facts.ts'
import { insertKeyOf } from './insert-key.ts'
import type { Key } from './keys.ts'
import { collisionsOf, columnOf, layoutOf, tells } from './layout.ts'
import type { Collisions, Layout } from './layout.ts'
import { parentsOf, SAMPLE } from './parents.ts'
import type { Parents } from './parents.ts'
import { checksOfParents, combineChecked, combineCrowded, roomFor } from './room.ts'
import { makeFit } from './row-width.ts'
import { markPlain, sampleParents } from './sample-parents.ts'
import { FEW, spareFew } from './values/few.ts'
import { isOdd } from './values/odd.ts'
import { base36, formFor, formsOf, maker, room } from './values/value.ts'
import type { Wanted } from './wanted.ts'

export interface Cooked {
  recipe: Recipe
  parents: Parents[]
  key: Key
  /** The sequence that gives an integer key. */
  counter?: string
  collisions: Collisions
  /** Somebody else could make the same keys: then only the transaction that wrote a row tells ours. */
  common: boolean
  /** About the bytes that one key takes in the journal. */
  keyBytes: number
  /** How many rows can go in, at least one: unique keys may have room for fewer than were asked for, and `short` says which. */
  rows: number
  short?: string
}

/**
 * `filled` has the tables that the same plan fills before this one, with how many rows; `before` is how many the same run
 * puts into this one already. A text is the reason why not.
 */
export async function cook(
  dialect: Dialect,
  reader: Queries,
  planned: Table,
  { rows, before }: { rows: number; before: number },
  filled: ReadonlyMap<string, number>,
  random: Random,
): Promise<Cooked | string> {
  const { trials, samples, equality } = dialect
  const { table: marked, encoding } = await markPlain(dialect, reader, planned)
  const unmade = await refused(trials, reader, planned, random)
  const { made: able } = layoutOf(planned, unmade)
  const key = insertKeyOf(marked, (column) => able.includes(column), equality)
  if (typeof key === 'string') return key
  const { table } = key
  const single = layoutOf(table, unmade)
  const layout = { ...single, groups: combineChecked(table, await combineCrowded(samples, reader, single, filled)) }
  const lost = layout.left.find((c) => c.notNull && !c.hasDefault)
  if (lost) return `column ${lost.name} is NOT NULL and values of its type ${lost.type} cannot be made`
  if (layout.made.length + layout.referring.size === 0) return 'it has no column to fill but those the server fills'
  const strange = table.columns.find(
    (c) => c.foreignDefault !== null && !layout.made.includes(c) && !layout.referring.has(c.name),
  )
  if (strange) return `code of others would run: ${strange.foreignDefault ?? ''}`
  const barred = table.columns.find((c) => layout.referring.has(c.name) && !c.mayInsert)
  if (barred) return `our role may not write its column ${barred.name}`
  const bases = await numberBases(samples, reader, layout, rows)
  const full = layout.made.find(
    (c) =>
      layout.unique.has(c.name) &&
      key.index.columns.includes(c.name) &&
      !bases.has(c.name) &&
      room(c.value) > FEW &&
      room(c.value) < rows,
  )
  if (full) return `its key column ${full.name} has no room for ${rows} more rows`
  const parents = await oneParentEach(samples, reader, layout, { filled, encoding, random })
  if (typeof parents === 'string') return parents
  const placing = await placingOf(samples, reader, layout, rows, random)
  const wanted = wantedOf(layout, bases, { parents, ...placing }, base36(random, 6))
  const ofParents = checksOfParents(table, layout.groups)
  const others = { ...table, checks: table.checks.filter((check) => !ofParents.includes(check)) }
  const satisfied = await satisfyChecks(dialect, reader, others, wanted, random.fork('checks'))
  if (typeof satisfied === 'string') return satisfied
  const assembled = assemble(layout, wanted, satisfied, rows, filled)
  const { recipe, ...few } = await spareFew(samples, reader, table, assembled.recipe, { rows, before })
  const made = { ...assembled, recipe }
  const wide = await makeFit(trials, reader, table, made.recipe, parents)
  if (wide !== undefined) return wide
  const free = await roomFor(samples, reader, table, made, { rows, before, filled })
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
async function refused(trials: Trials, reader: Queries, table: Table, random: Random): Promise<Set<string>> {
  const columns = new Set<string>()
  for (const { name, value, baseType } of table.columns.filter((c) => isOdd(c.value) && formsOf(c.value).length > 0)) {
    const make = maker({ type: value, form: 'any', unique: true, run: base36(random.fork(name), 6) }, random.fork(name))
    if (!(await trials.takes(reader, baseType, make(1)))) columns.add(name)
  }
  return columns
}

const LARGEST: Record<string, bigint> = { int2: 2n ** 15n - 1n, int4: 2n ** 31n - 1n, int8: 2n ** 63n - 1n }

/** Where unique numbers begin: after the largest that is there. Left out where there is no room after it. */
async function numberBases(
  samples: Samples,
  reader: Queries,
  { table, made, unique }: Layout,
  rows: number,
): Promise<Map<string, string>> {
  const bases = new Map<string, string>()
  for (const { name, value } of made) {
    const largest = LARGEST[value.name]
    if (!unique.has(name) || largest === undefined || value.array) continue
    const after = await samples.largest(reader, table, name, 1).catch(() => undefined) // too large to look through without an index: then begin in the upper half
    const next = after === undefined ? largest / 2n : BigInt(after) < 1n ? 1n : BigInt(after)
    if (next + BigInt(rows) <= largest) bases.set(name, next.toString())
  }
  return bases
}

/** An existing value for every foreign key column, to try CHECKs with; a text says which parent is missing. */
async function oneParentEach(
  samples: Samples,
  reader: Queries,
  { table, groups }: Layout,
  { filled, encoding, random }: { filled: ReadonlyMap<string, number>; encoding: string | undefined; random: Random },
): Promise<Map<string, Value> | string> {
  const values = new Map<string, Value>()
  for (const group of groups) {
    const parents = parentsOf(table, group, undefined, SAMPLE, filled)
    const [tuple] = await sampleParents(samples, reader, table, parents, 1, random.fork('parent'))
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

async function placingOf(
  samples: Samples,
  reader: Queries,
  { table, groups }: Layout,
  rows: number,
  random: Random,
): Promise<Placing> {
  const pinned = new Map<string, Value[]>()
  const numbers = new Map<string, string>()
  const deciding = table.partitions?.columns ?? []
  for (const group of groups) {
    const parents = parentsOf(table, group, undefined, SAMPLE, new Map())
    const [only] = parents.columns
    if (parents.columns.length > 1 || only === undefined || !deciding.includes(only)) continue
    const tuples = await sampleParents(samples, reader, table, parents, PINNED, random.fork('pinned'))
    if (tuples.length > 0)
      pinned.set(
        only,
        tuples.map(([value = null]) => value),
      )
  }
  for (const { name } of table.columns.filter((c) => c.sequence && deciding.includes(c.name))) {
    const last = await samples.largest(reader, table, name, rows)
    if (last !== undefined) numbers.set(name, last)
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
