/** What must hold of the rows of a table, as conditions that the server tries. */
import type { Trials } from '../verbs/reading.ts'
import type { Predicate, Table } from './facts.ts'

/** What must hold of a row: the table's CHECKs, its domains', and that its generated columns can be computed. */
export function predicatesOf({ conditions }: Trials, table: Table): Predicate[] {
  const generated = new Map(table.columns.filter((c) => c.generated).map((c) => [c.name, c]))
  const real = (names: string[]): string[] => names.flatMap((name) => generated.get(name)?.uses ?? [name])
  const { partitions } = table
  return [
    ...(partitions
      ? [{ name: 'its partitions', columns: real(partitions.columns), sql: conditions.any(partitions.bounds) }]
      : []),
    ...table.checks.map((check) => ({
      name: `CHECK ${check.name}`,
      columns: real(check.columns),
      sql: check.expression,
    })),
    ...table.columns.flatMap((column) =>
      column.generated
        ? [
            {
              name: `the expression of ${column.name}`,
              columns: column.uses,
              sql: conditions.computed(column.name, column.notNull),
            },
          ]
        : column.domainChecks.map((check) => ({
            name: `the CHECK of type ${column.type}`,
            columns: [column.name],
            sql: conditions.ofType(check, column.name),
          })),
    ),
  ].filter((predicate) => predicate.columns.length > 0)
}

/** Predicates that share a column are satisfied together. */
export function groupPredicates(all: Predicate[]): { columns: string[]; predicates: Predicate[] }[] {
  const found: { columns: string[]; predicates: Predicate[] }[] = []
  for (const predicate of all) {
    const touching = found.filter((group) => group.columns.some((c) => predicate.columns.includes(c)))
    for (const group of touching) found.splice(found.indexOf(group), 1)
    found.push({
      columns: [...new Set([...touching.flatMap((g) => g.columns), ...predicate.columns])],
      predicates: [...touching.flatMap((g) => g.predicates), predicate],
    })
  }
  return found
}

/** What a predicate says, in parts with the columns of each. */
export function partsOf({ conditions }: Trials, table: Table, predicate: Predicate): Predicate[] {
  const parts = conditions.conjuncts(predicate.sql)
  if (parts.length === 1) return [predicate]
  return parts.map((sql) => {
    const computed = table.columns.filter((c) => c.generated && conditions.speaksOf(sql, c.name)).flatMap((c) => c.uses)
    return {
      ...predicate,
      sql,
      columns: predicate.columns.filter((name) => computed.includes(name) || conditions.speaksOf(sql, name)),
    }
  })
}
