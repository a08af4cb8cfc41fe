/** SQL that finds rows by the keys of a step, and reads their keys. */
import type { Key, Keys } from '../rows/keys.ts'
import { quoteIdent } from './sql.ts'

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
