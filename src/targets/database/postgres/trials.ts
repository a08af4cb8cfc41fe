/** Values tried by the server before a row has them: whether it takes them, what CHECKs say to them, whether they fit. */
import type { Queries } from '../client.ts'
import type { Trials } from '../verbs/reading.ts'
import type { Value } from '../rows/batch.ts'
import type { Column, Predicate, Table } from '../rows/facts.ts'
import { conjunctsOf, speaksOf } from './conjuncts.ts'
import { fitting } from './page.ts'
import { quoteIdent, sqlState } from './sql.ts'

export const trials: Trials = {
  async takes(on, type, text) {
    try {
      await on.query(`select ($1::text::${type})::text as value`, [text])
      return true
    } catch (error) {
      if (!/^(0A|22|42)/.test(sqlState(error) ?? '')) throw error
      return false
    }
  },
  prepare,
  fitting,
  conditions: {
    any: (bounds) => bounds.map((bound) => `(${bound})`).join(' or '),
    computed: (column, notNull) => `${quoteIdent(column)} is not null or ${String(!notNull)}`,
    ofType: (check, column) => `(select ${check} from (select ${quoteIdent(column)} as value) d)`,
    conjuncts: conjunctsOf,
    speaksOf,
  },
}

function prepare(
  table: Table,
  predicates: readonly Predicate[],
  columns: readonly Column[],
): (on: Queries, tuples: readonly (readonly Value[])[]) => Promise<number[]> {
  const cells = columns.map((column, i) => `v.c${i}::${column.baseType} as ${quoteIdent(column.name)}`)
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`)
  const names = columns.map((_, i) => `c${i}`)
  const known = new Set(columns.map((c) => c.name))
  const computed = table.columns
    .filter((c) => c.generated && c.uses.every((name) => known.has(name)))
    .map((c) => `, (${c.expression ?? 'null'})::${c.type} as ${quoteIdent(c.name)}`)
  // Predicates name columns without a table, so the tuple's number needs a name that no column has.
  let ord = 'ord'
  while (table.columns.some((c) => c.name === ord)) ord += '_'
  // A value that no predicate needs to look at must be one of its type, too.
  const valid = `pg_catalog.num_nulls(${columns.map((column) => `t.${quoteIdent(column.name)}`).join(', ')}) >= 0`
  const sql = `select t.${ord}::text as ord from (select b.*${computed.join('')} from
      (select v.${ord}, ${cells.join(', ')} from unnest(${arrays.join(', ')}) with ordinality v(${names.join(', ')}, ${ord})) b) t
      where ${[...predicates.map((p) => `(${p.sql}) is not false`), valid].join(' and ')} order by t.${ord}`
  return async (on, tuples) => {
    const cells = columns.map((_, i) => tuples.map((tuple) => tuple[i] ?? null))
    const rows = await on.query<{ ord: string }>(sql, cells)
    return rows.map(({ ord }) => Number(ord) - 1)
  }
}
