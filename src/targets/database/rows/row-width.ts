/** Whether rows of ours fit into the table: what the server cannot cut in two, and columns that may stay empty for it. */
import { seededRandom } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Trials } from '../verbs/reading.ts'
import type { Recipe, Source } from './batch.ts'
import type { Table } from './facts.ts'
import { maker } from './values/value.ts'

/** Why a row of the recipe would not fit; undefined when it does. May leave optional columns of the recipe NULL to make it fit. */
export async function makeFit(
  { fitting }: Trials,
  reader: Queries,
  table: Table,
  recipe: Recipe,
  parents: ReadonlyMap<string, string | null>,
): Promise<string | undefined> {
  const longest = new Map(recipe.columns.map((c) => [c.name, longestOf(recipe, c.source, parents.get(c.name) ?? null)]))
  const optional = recipe.columns.filter((c) => mayBeNull(table, c)).map((c) => c.name)
  const fits = await fitting(reader, table, { columns: recipe.columns, longest, optional })
  if (typeof fits === 'string') return fits
  for (const { name, source } of recipe.columns)
    if (fits.without.includes(name) && source.from === 'value') source.nulls = 1
  return undefined
}

/** The longest value that a column of the recipe may get, as text. */
function longestOf(recipe: Recipe, source: Source, parent: string | null): string | null {
  if (source.from === 'parent') return parent
  if (source.from === 'value') return maker(source, seededRandom('width'))(1_000_000_007)
  const pool = recipe.pools[source.pool]?.map((row) => row[source.at] ?? null) ?? []
  return pool.reduce((longest, value) => ((value?.length ?? -1) > (longest?.length ?? -1) ? value : longest), null)
}

function mayBeNull(table: Table, { name, source }: Recipe['columns'][number]): boolean {
  const column = table.columns.find((c) => c.name === name)
  if (!column || column.notNull || source.from !== 'value' || source.unique || column.domainChecks.length > 0)
    return false
  const bound = [...table.checks.map((check) => check.columns), table.partitions?.columns ?? []]
  return ![...bound, ...table.columns.map((c) => c.uses)].some((names) => names.includes(name))
}
