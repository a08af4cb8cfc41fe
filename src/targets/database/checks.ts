/** Finding values that CHECKs (of tables and domains) let pass: candidates are made here and tried by the server, read-only. */
import { seededRandom } from '../../core/random.ts'
import type { Random } from '../../core/random.ts'
import type { Column, Queries, Table } from './table-facts.ts'
import { anyPartition } from './partitions.ts'
import type { Value } from './rows.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import { base36, formsOf, lengthOf, maker } from './values.ts'

export interface Wanted {
  column: Column
  unique: boolean
  /** What the column gets when nothing else is known: a form of made-up values, or a value that stands for a parent's. */
  form: string
  /** For a foreign key: an existing value; only its being there or NULL can be chosen. */
  parent?: Value
  /** Values of existing parents to choose from, where it matters which one it is. */
  parents?: Value[]
  /** Left to the server; this value stands for it. */
  omitted?: Value
  base?: string | undefined
  run: string
}

export interface Satisfied {
  /** Columns any value of this form will do for. */
  forms: Map<string, string>
  /** Columns that go together, and tuples of values that pass. */
  pools: { columns: string[]; rows: Value[][] }[]
}

/** Tuples kept for a pool, tried for it, and tried of one form. */
const POOL = 50
const TRIED = 400
const OF_A_FORM = 60

/**
 * Finds values for every column that a CHECK speaks of. The text returned says why there are none. Whether there are any
 * does not depend on `random`, so that a survey and every run judge alike: one seed happens on a value where others do not.
 */
export async function satisfyChecks(
  reader: Queries,
  table: Table,
  wanted: ReadonlyMap<string, Wanted>,
  random: Random,
): Promise<Satisfied | string> {
  const found: Satisfied = { forms: new Map(), pools: [] }
  const fixed = seededRandom(`CHECKs of ${table.id}`)
  const run = base36(fixed.fork('run'), 6)
  for (const group of groups(predicates(table))) {
    const columns = group.columns.flatMap((name) => wanted.get(name) ?? [])
    const same = columns.map((one) => ({ ...one, run }))
    const trial = new Trial(reader, table, group.predicates, columns)
    const [only] = columns
    const form = columns.length === 1 && only ? await passingForm(trial, only, [random, fixed]) : undefined
    if (only && form !== undefined) {
      found.forms.set(only.column.name, form)
      continue
    }
    const judged = await trial.passing([
      ...tuples(group.predicates, same, fixed),
      ...(await borrowed(reader, table, columns)),
    ])
    if (judged.length === 0) {
      const names = [...new Set(group.predicates.map((p) => p.name))].join(', ')
      return `no value was found that satisfies ${names}`
    }
    const own = await trial.passing(tuples(group.predicates, columns, random))
    const rows = distinct([...own, ...judged]).slice(0, POOL)
    found.pools.push({ columns: columns.map((c) => c.column.name), rows })
  }
  return found
}

interface Predicate {
  /** For people. */
  name: string
  columns: string[]
  /** True or NULL lets a row pass. */
  sql: string
}

/** What must hold of a row: the table's CHECKs, its domains', and that its generated columns can be computed. */
function predicates(table: Table): Predicate[] {
  const generated = new Map(table.columns.filter((c) => c.generated).map((c) => [c.name, c]))
  const real = (names: string[]): string[] => names.flatMap((name) => generated.get(name)?.uses ?? [name])
  const { partitions } = table
  return [
    ...(partitions
      ? [{ name: 'its partitions', columns: real(partitions.columns), sql: anyPartition(partitions) }]
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
              sql: `${quoteIdent(column.name)} is not null or ${String(!column.notNull)}`,
            },
          ]
        : column.domainChecks.map((check) => ({
            name: `the CHECK of type ${column.type}`,
            columns: [column.name],
            sql: `(select ${check} from (select ${quoteIdent(column.name)} as value) d)`,
          })),
    ),
  ].filter((predicate) => predicate.columns.length > 0)
}

/** Predicates that share a column are satisfied together. */
function groups(all: Predicate[]): { columns: string[]; predicates: Predicate[] }[] {
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

/** Tries tuples of values for some columns against predicates, on the server. */
class Trial {
  readonly #reader: Queries
  readonly #sql: string
  constructor(reader: Queries, table: Table, predicates: Predicate[], columns: Wanted[]) {
    const cells = columns.map(({ column }, i) => `v.c${i}::${column.baseType} as ${quoteIdent(column.name)}`)
    const arrays = columns.map((_, i) => `$${i + 1}::text[]`)
    const names = columns.map((_, i) => `c${i}`)
    const known = new Set(columns.map((c) => c.column.name))
    const computed = table.columns
      .filter((c) => c.generated && c.uses.every((name) => known.has(name)))
      .map((c) => `, (${c.expression ?? 'null'})::${c.type} as ${quoteIdent(c.name)}`)
    // Predicates name columns without a table, so the tuple's number needs a name that no column has.
    let ord = 'ord'
    while (table.columns.some((c) => c.name === ord)) ord += '_'
    this.#reader = reader
    this.#sql = `select t.${ord}::text as ord from (select b.*${computed.join('')} from
      (select v.${ord}, ${cells.join(', ')} from unnest(${arrays.join(', ')}) with ordinality v(${names.join(', ')}, ${ord})) b) t
      where ${predicates.map((p) => `(${p.sql}) is not false`).join(' and ')} order by t.${ord}`
  }

  /** Those that pass, in their order. A tuple that makes the server fail (a division by zero) does not. */
  async passing(tuples: Value[][]): Promise<Value[][]> {
    try {
      return await this.#ask(tuples)
    } catch {
      const passed: Value[][] = []
      for (const tuple of tuples.slice(0, TRIED / 2)) passed.push(...(await this.#ask([tuple]).catch(() => [])))
      return passed
    }
  }

  async #ask(tuples: Value[][]): Promise<Value[][]> {
    if (tuples.length === 0) return []
    const columns = (tuples[0] ?? []).map((_, i) => tuples.map((tuple) => tuple[i] ?? null))
    const rows = await this.#reader.query<{ ord: string }>(this.#sql, columns)
    return rows.flatMap(({ ord }) => tuples.slice(Number(ord) - 1, Number(ord)))
  }
}

/** A form of which every value passes: then values need not be chosen from a few, and may be unique. */
async function passingForm(
  trial: Trial,
  wanted: Wanted,
  [random, fixed]: [Random, Random],
): Promise<string | undefined> {
  if (wanted.omitted !== undefined || wanted.parent !== undefined || wanted.parents) return undefined
  const forms = [...new Set([wanted.form, ...formsOf(wanted.column.value)])]
  for (const form of forms) {
    const makers = [
      maker({ ...spec(wanted), form }, random.fork(form)),
      maker({ ...spec(wanted), run: base36(fixed.fork('run'), 6), form }, valuesOf(wanted, form, fixed)),
    ]
    // Far apart, so that what holds for the first rows holds for the last.
    const samples = makers.flatMap((make) => Array.from({ length: OF_A_FORM }, (_, i) => [make(i < 30 ? i : i ** 3)]))
    if ((await trial.passing(samples)).length === samples.length) return form
  }
  return undefined
}

/** The first values of a form are the same wherever they are tried: a form that passes has values for a pool. */
function valuesOf({ column }: Wanted, form: string, random: Random): Random {
  return random.fork(column.name).fork(form)
}

function spec({ column, form, unique, base, run }: Wanted) {
  return { type: column.value, form, unique, base, run }
}

/** Candidates: made up first, then those with literals of the predicates. */
function tuples(predicates: Predicate[], columns: Wanted[], random: Random): Value[][] {
  const literals = predicates.flatMap((p) => literalsOf(p.sql))
  const choices = columns.map((wanted) => choicesOf(wanted, literals, random))
  const [single, ...more] = choices
  const made =
    single && more.length === 0
      ? single.map((value) => [value])
      : Array.from({ length: TRIED }, () => choices.map((choice) => random.pick(choice) ?? null))
  return distinct(made)
}

function choicesOf(wanted: Wanted, literals: string[], random: Random): Value[] {
  const { column, omitted, parent, parents } = wanted
  const none = column.notNull ? [] : [null]
  if (omitted !== undefined) return [omitted]
  if (parents) return [...parents, ...none]
  if (parent !== undefined) return [parent, ...none]
  const made = formsOf(column.value).flatMap((form) => {
    const make = maker({ ...spec(wanted), form }, valuesOf(wanted, form, random))
    return Array.from({ length: 4 }, (_, i) => make(i))
  })
  return [...made, ...none, ...literals.filter((literal) => fits(literal, column))]
}

/** Quoted texts and numbers of an expression, and the numbers beside them. */
function literalsOf(sql: string): string[] {
  const texts = [...sql.matchAll(/'((?:[^']|'')*)'/g)].map((m) => (m[1] ?? '').replaceAll("''", "'"))
  const numbers = [...sql.matchAll(/(?<![\w.'])-?\d+(?:\.\d+)?(?![\w.'])/g)].map((m) => m[0])
  return [...new Set([...texts, ...numbers.flatMap((n) => [n, `${Number(n) + 1}`, `${Number(n) - 1}`])])]
}

/** Whether a literal can be read as the column's type: one that cannot would fail the whole trial. */
function fits(literal: string, { value }: Column): boolean {
  if (value.array) return false
  if (value.labels) return value.labels.includes(literal)
  if (['text', 'varchar', 'bpchar', 'citext', 'name'].includes(value.name)) return literal.length <= lengthOf(value)
  if (/^int[248]$/.test(value.name)) return /^-?\d{1,4}$|^-?[12]?\d{5,9}$/.test(literal)
  if (/^(numeric|float[48])$/.test(value.name)) return /^-?\d{1,9}(\.\d+)?$/.test(literal)
  if (/^(date|timestamp|timestamptz)$/.test(value.name)) return /^\d{4}-\d\d-\d\d( [\d:.+]+)?$/.test(literal)
  return false
}

/** Values that existing rows have in these columns; a real mail address is left where it is. */
async function borrowed(reader: Queries, table: Table, columns: Wanted[]): Promise<Value[][]> {
  const cells = columns.map(({ column }, i) => `${quoteIdent(column.name)}::text as c${i}`)
  try {
    const rows = await reader.query(`select ${cells.join(', ')} from ${quoteTable(table)} limit ${POOL}`)
    return rows
      .map((row) => columns.map((c, i) => (c.omitted !== undefined ? c.omitted : gate(c, row[`c${i}`] ?? null))))
      .filter((tuple) => !tuple.some((value) => value !== null && /@(?!.*\.invalid$)/.test(value)))
  } catch {
    return [] // a column we may not read
  }
}

/** Of a foreign key only whether it is there counts: which parent it is, is decided when the row is made. */
function gate(wanted: Wanted, value: Value): Value {
  return wanted.parent !== undefined && value !== null ? wanted.parent : value
}

function distinct(tuples: Value[][]): Value[][] {
  return [...new Map(tuples.map((tuple) => [JSON.stringify(tuple), tuple])).values()]
}
