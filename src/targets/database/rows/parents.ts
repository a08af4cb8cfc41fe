/** Rows that a table's foreign keys may refer to: which keys belong together, and what is sampled for them. */
import { z } from 'zod'
import type { ForeignKey, Table } from './facts.ts'

/** Foreign keys that share columns: one sampled tuple fills the columns of all of them. */
export const parentsSchema = z.object({
  /** Columns of the referring table; a sampled tuple has their values in this order. */
  columns: z.array(z.string()),
  /** Tables referred to, with their columns and where in the tuple those stand. The first is sampled, the others joined. */
  tables: z.array(
    z.object({
      schema: z.string(),
      table: z.string(),
      refs: z.array(z.string()),
      at: z.array(z.number()),
      /** The foreign key's own equality of each, as its dialect writes it; absent in journals of older versions. */
      equality: z.array(z.string()).optional(),
      /** Share of a large table to look at, percent. */
      percent: z.number().optional(),
      /** Only rows whose texts are ASCII: others have keys that do not reach us as they are. */
      plain: z.literal(true).optional(),
    }),
  ),
  /** Only tuples that no row of the referring table has yet. */
  unused: z.boolean(),
  /** The unique keys of the referring table that are made of these columns alone; absent: all columns together are one. */
  keys: z.array(z.array(z.string())).optional(),
  /** CHECKs of the referring table about these columns alone, which a tuple must satisfy, with the columns' types. */
  holds: z.object({ checks: z.array(z.string()), types: z.array(z.string()) }).optional(),
})

export type Parents = z.infer<typeof parentsSchema>

/** Parents sampled where each need not have a row of its own. */
export const SAMPLE = 1_000

/** Tables up to so many rows are sampled evenly, larger ones by pages. */
const EVENLY = 20_000

/** Foreign keys that share columns, as groups; the widest key of each comes first. */
export function groupReferences(table: Table): ForeignKey[][] {
  const groups: ForeignKey[][] = []
  for (const key of [...table.references].sort((a, b) => b.columns.length - a.columns.length)) {
    const touching = groups.filter((g) => g.some((k) => k.columns.some((c) => key.columns.includes(c))))
    for (const group of touching) groups.splice(groups.indexOf(group), 1)
    groups.push([...touching.flat(), key])
  }
  return groups
}

/**
 * `limit` is how many a sample will ask for; `more` rows are in a table, by id, before it is sampled. `unique` has the keys
 * that tuples must not have in common with rows that are there: with it, only unused ones are sampled.
 */
export function parentsOf(
  table: Table,
  keys: readonly ForeignKey[],
  unique: readonly string[][] | undefined,
  limit: number,
  more: ReadonlyMap<string, number>,
): Parents {
  const columns = [...new Set(keys.flatMap((key) => key.columns))]
  const checks = checksWithin(table, columns).map((check) => check.expression)
  const types = columns.map((name) => table.columns.find((c) => c.name === name)?.baseType ?? 'text')
  return {
    columns,
    unused: unique !== undefined,
    ...(checks.length > 0 ? { holds: { checks, types } } : {}),
    ...(unique ? { keys: [...unique] } : {}),
    tables: keys.map((key) => {
      const rows = key.toRows + (more.get(key.to.id) ?? 0)
      return {
        schema: key.to.schema,
        table: key.to.table,
        refs: key.refs,
        at: key.columns.map((column) => columns.indexOf(column)),
        equality: key.equality,
        ...(key.plain === true ? { plain: true as const } : {}),
        ...(rows > EVENLY ? { percent: Math.min(100, Math.max(0.01, (500 * limit) / rows)) } : {}),
      }
    }),
  }
}

/** CHECKs that speak of these columns alone. */
export function checksWithin({ checks }: Table, columns: readonly string[]): Table['checks'] {
  return checks.filter((check) => check.columns.length > 0 && check.columns.every((name) => columns.includes(name)))
}

/** Which tables have no column in common with those before them. */
export function independent(tables: Parents['tables']): Set<number> {
  const filled = new Set<number>()
  const starts = new Set<number>()
  for (const [p, { at }] of tables.entries()) {
    if (!at.some((column) => filled.has(column))) starts.add(p)
    for (const column of at) filled.add(column)
  }
  return starts
}
