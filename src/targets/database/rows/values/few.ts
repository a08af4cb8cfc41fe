/** Unique columns that few values are left for (an enum, a boolean, a list in a CHECK): each free value is used once, and the plan says how many there are. */
import { seededRandom } from '../../../../core/random.ts'
import { textsOf } from './patterns.ts'
import type { Recipe, Source, Value } from '../batch.ts'
import type { Queries } from '../../client.ts'
import type { Samples } from '../../verbs/reading.ts'
import type { Column, Index, Table } from '../facts.ts'
import { lengthOf, maker, patternOf, room } from './value.ts'

/** More values than this are many: then random ones are free. */
export const FEW = 1_000

interface Few {
  recipe: Recipe
  rows: number
  short?: string
}

/** `before` is how many rows earlier parts of the same run put into the table: they take the first of what is free. */
export async function spareFew(
  samples: Samples,
  reader: Queries,
  table: Table,
  recipe: Recipe,
  { rows, before }: { rows: number; before: number },
): Promise<Few> {
  let few: Few = { recipe, rows }
  for (const index of table.indexes.filter((i) => i.unique && i.total)) {
    const list = listOf(few.recipe, index)
    if (!list) continue
    const optional = index.columns.find((name) => mayBeNull(table, few.recipe, name))
    if (optional !== undefined) {
      if (list.rows.length < rows + before) few = { ...few, recipe: withNull(few.recipe, optional) }
      continue
    }
    const free = await freeIn(samples, reader, table, index, list)
    const left = Math.max(0, free.length - before)
    const next = { ...list, rows: free.slice(before) }
    if (left < few.rows) few = { ...few, rows: left, short: shortOf(table, index, left, rows) }
    if (left > 0) few = { ...few, recipe: inTurn(few.recipe, next) }
  }
  return few
}

interface List {
  columns: string[]
  rows: string[][]
}

/** Every tuple of the columns of an index, and of what must go with them; undefined where there are many. */
function listOf({ columns, pools }: Recipe, { columns: unique }: Index): List | undefined {
  let list: List = { columns: [], rows: [[]] }
  for (const name of unique) {
    if (list.columns.includes(name)) continue
    const source = columns.find((c) => c.name === name)?.source
    const part = source?.from === 'pool' ? poolOf(columns, pools, source.pool) : source && valuesOf(name, source)
    if (!part || part.rows.length * list.rows.length > FEW) return undefined
    list = {
      columns: [...list.columns, ...part.columns],
      rows: list.rows.flatMap((row) => part.rows.map((more) => [...row, ...more])),
    }
  }
  const at = unique.map((name) => list.columns.indexOf(name))
  const distinct = new Map(list.rows.map((row) => [JSON.stringify(at.map((i) => row[i])), row]))
  return { ...list, rows: [...distinct.values()] }
}

function poolOf(columns: Recipe['columns'], pools: Recipe['pools'], pool: number): List | undefined {
  const used = columns.flatMap(({ name, source }) =>
    source.from === 'pool' && source.pool === pool ? [{ name, at: source.at }] : [],
  )
  const rows = (pools[pool] ?? []).map((row) => used.map(({ at }): Value => row[at] ?? null))
  const full = rows.filter((row): row is string[] => !row.includes(null))
  return full.length === 0 ? undefined : { columns: used.map(({ name }) => name), rows: full }
}

function valuesOf(name: string, source: Source): List | undefined {
  if (source.from !== 'value' || source.type.array) return undefined
  const { type, form, base } = source
  const pattern = patternOf(form)
  const size = pattern === undefined ? room(type) : Number(textsOf(pattern, lengthOf(type))?.size ?? 0n)
  if (base !== undefined || size > FEW) return undefined
  const make = maker({ ...source, unique: true }, seededRandom(name))
  return {
    columns: [name],
    rows: [...new Set(Array.from({ length: size }, (_, i) => make(i)))].map((value) => [value]),
  }
}

/** A column that is made up without regard to others, and that may stay empty: NULL collides with nothing. */
function mayBeNull(table: Table, { columns }: Recipe, name: string): boolean {
  const source = columns.find((c) => c.name === name)?.source
  return source?.from === 'value' && source.nulls > 0 && columnOf(table, name)?.notNull === false
}

function withNull(recipe: Recipe, name: string): Recipe {
  return {
    ...recipe,
    columns: recipe.columns.map((c) =>
      c.name === name && c.source.from === 'value' ? { ...c, source: { ...c.source, nulls: 1 } } : c,
    ),
  }
}

/** Row after row takes the next tuple of the list: to the makers of values it is an enum of the type's own. */
function inTurn(recipe: Recipe, { columns, rows }: List): Recipe {
  return {
    ...recipe,
    columns: recipe.columns.map((column) => {
      const at = columns.indexOf(column.name)
      if (at < 0) return column
      const labels = rows.map((row) => row[at] ?? '')
      const type = column.source.from === 'value' ? column.source.type : { name: 'text' }
      return {
        ...column,
        source: { from: 'value', type: { ...type, labels }, form: 'label', unique: true, run: '', nulls: 0 },
      }
    }),
  }
}

/** Those that no row of the table has. */
async function freeIn(samples: Samples, reader: Queries, table: Table, index: Index, list: List): Promise<string[][]> {
  const tuples = list.rows.map((row) => index.columns.map((name) => row[list.columns.indexOf(name)] ?? ''))
  const free = await samples.unused(reader, table, index, tuples)
  return free.flatMap((at) => list.rows.slice(at, at + 1))
}

function columnOf(table: Table, name: string): Column | undefined {
  return table.columns.find((c) => c.name === name)
}

function shortOf({ id }: Table, { columns }: Index, left: number, rows: number): string {
  const names = columns.join(', ')
  if (left === 0) return `every value of its ${names} is taken already, and it must be unique`
  return `${id} takes ${left} of ${rows} rows: its ${names} must be unique, and only so many values are free`
}
