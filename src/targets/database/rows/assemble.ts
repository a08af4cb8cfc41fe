/** The recipe for rows of a table, put together from what was found for each column. */
import type { Picking, Recipe, Source } from './batch.ts'
import type { Satisfied } from './checks.ts'
import type { ForeignKey, Table } from './facts.ts'
import { columnOf } from './layout.ts'
import type { Layout } from './layout.ts'
import { parentsOf, SAMPLE } from './parents.ts'
import type { Parents } from './parents.ts'
import { keysOf, partsOf } from './room.ts'
import type { Wanted } from './wanted.ts'

/** The share of NULLs where a column takes them. */
const NULLS = 0.1

export function assemble(
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
