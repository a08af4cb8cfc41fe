/** The rows of one batch, made one by one from a recipe: pure, seeded, never all in memory. */
import { z } from 'zod'
import { seededRandom } from '../../../core/random.ts'
import type { Random } from '../../../core/random.ts'
import type { ValueType } from './facts.ts'
import { maker } from './values/value.ts'

/** No type is longer: a journal that was changed must not fill memory. */
const MOST_LONG = 100_000_000

export const valueTypeSchema: z.ZodType<ValueType> = z.object({
  name: z.string(),
  length: z.int().min(0).max(MOST_LONG).optional(),
  precision: z.int().min(0).max(65_535).optional(),
  scale: z.int().min(-1024).max(1023).optional(),
  labels: z.array(z.string()).optional(),
  array: z.boolean().optional(),
  of: z.lazy(() => z.array(valueTypeSchema)).optional(),
})

/** How the values of one column come about; `nulls` is the share of rows that get NULL. */
const source = z.discriminatedUnion('from', [
  /** Made up. */
  z.object({
    from: z.literal('value'),
    type: valueTypeSchema,
    form: z.string(),
    unique: z.boolean(),
    base: z.string().optional(),
    run: z.string(),
    nulls: z.number(),
  }),
  /** Column `at` of a tuple picked from pool number `pool`. */
  z.object({ from: z.literal('pool'), pool: z.number(), at: z.number() }),
  /** Column `at` of a row picked from the sample of parents number `parent`. */
  z.object({ from: z.literal('parent'), parent: z.number(), at: z.number() }),
])

/** How each row picks among the sampled rows that its foreign keys may refer to. */
const picking = z.object({
  /** `each` uses every one once, then NULL if optional, else it ends the batch; `diagonal` gives pairs that differ. */
  how: z.enum(['any', 'each', 'diagonal']),
  nulls: z.number(),
  /** Without any parents the columns stay NULL. */
  optional: z.boolean(),
  /** NULL where this column of the picked tuple is: a CHECK says which references go together. */
  gate: z.object({ pool: z.number(), at: z.number() }).optional(),
})

export const recipeSchema = z.object({
  columns: z.array(z.object({ name: z.string(), attnum: z.int().optional(), type: z.string(), source })),
  /** Tuples that satisfy CHECKs together. */
  pools: z.array(z.array(z.array(z.string().nullable()))),
  picks: z.array(picking),
})

export type Recipe = z.infer<typeof recipeSchema>
export type Source = z.infer<typeof source>
export type Picking = z.infer<typeof picking>
export type Value = string | null

export interface Batch {
  /** Of the table's load. */
  seed: string
  /** Number of the batch, and of its first row among all rows of the load. */
  batch: number
  first: number
  rows: number
}

/** Rows in the order of `recipe.columns`. `parents` has the sampled tuples of each of `recipe.picks`. */
export function* makeRows(
  recipe: Recipe,
  { seed, batch, first, rows }: Batch,
  parents: readonly (readonly Value[])[][],
): Generator<Value[]> {
  const random = seededRandom(`${seed}/${batch}`)
  const pickers = recipe.picks.map((_, i) => picker(recipe.picks, parents, i, random.fork(`parent ${i}`)))
  const makers = recipe.columns.map(({ name, source }) => column(source, random.fork(`column ${name}`)))
  for (let i = 0; i < rows; i++) {
    const tuples = recipe.pools.length === 0 ? NONE : recipe.pools.map((pool) => random.pick(pool) ?? [])
    const picked =
      pickers.length === 0 ? NONE : pickers.map((next, p) => (gated(recipe.picks[p], tuples) ? null : next(i)))
    if (picked.includes('none left')) return
    yield makers.map((make) => make(first + i, tuples, picked as (readonly Value[] | null)[]))
  }
}

const NONE: never[] = []

/** The values one made-up column has in the rows of a batch, without making the rest of them. */
export function* makeColumn(recipe: Recipe, batch: Batch, name: string): Generator<Value> {
  const columns = recipe.columns.filter((c) => c.name === name && c.source.from === 'value')
  for (const [value = null] of makeRows({ columns, pools: [], picks: [] }, batch, [])) yield value
}

type Make = (index: number, tuples: readonly (readonly Value[])[], picked: (readonly Value[] | null)[]) => Value

function column(source: Source, random: Random): Make {
  switch (source.from) {
    case 'value': {
      const make = maker(source, random)
      const { nulls } = source
      return nulls === 0 ? make : (index) => (random.next() < nulls ? null : make(index))
    }
    case 'pool':
      return (_, tuples) => tuples[source.pool]?.[source.at] ?? null
    case 'parent':
      return (_, __, picked) => picked[source.parent]?.[source.at] ?? null
  }
}

function gated(pick: Picking | undefined, tuples: readonly (readonly Value[])[]): boolean {
  return pick?.gate !== undefined && (tuples[pick.gate.pool]?.[pick.gate.at] ?? null) === null
}

/** The parent of row `i`: null is "no parent". */
function picker(
  picks: readonly Picking[],
  parents: readonly (readonly Value[])[][],
  which: number,
  random: Random,
): (i: number) => readonly Value[] | null | 'none left' {
  const pick = picks[which]
  const sample = parents[which] ?? []
  if (!pick || sample.length === 0) return () => (pick?.optional ? null : 'none left')
  if (pick.how === 'each') return (i) => sample[i] ?? (pick.optional ? null : 'none left')
  if (pick.how === 'diagonal') return diagonal(picks, parents, which)
  return () => (random.next() < pick.nulls ? null : (random.pick(sample) ?? null))
}

/** Of two samples of n and m rows the first n·m rows get n·m different pairs. */
function diagonal(
  picks: readonly Picking[],
  parents: readonly (readonly Value[])[][],
  which: number,
): (i: number) => readonly Value[] | null | 'none left' {
  const sample = parents[which] ?? []
  const other = picks.findIndex((p, i) => p.how === 'diagonal' && i !== which)
  const size = parents[other]?.length ?? 1
  const round = (sample.length * size) / gcd(sample.length, size)
  if (which < other) return (i) => (i < sample.length * size ? (sample[i % sample.length] ?? null) : 'none left')
  return (i) => sample[(i + Math.floor(i / round)) % sample.length] ?? null
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
