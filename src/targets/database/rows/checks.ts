/** Finding values that CHECKs (of tables and domains) let pass: candidates are made here and tried by the server, read-only. */
import { seededRandom } from '../../../core/random.ts'
import type { Random } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Column, Table } from './facts.ts'
import { anyPartition } from './partitions.ts'
import type { Value } from './batch.ts'
import { quoteIdent, quoteTable } from '../postgres/sql.ts'
import { candidatesFor, hintsOf, isReal, patternForms } from './values/candidates.ts'
import type { Hints } from './values/candidates.ts'
import { conjunctsOf, speaksOf } from './conjuncts.ts'
import type { Maker } from './values/spec.ts'
import { base36, formsOf, maker, patternOf } from './values/value.ts'

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
/** Queries for one trial, where tuples make the server fail. */
const ASKED = 200
/** Of more columns it is not tried which of them are NULL. */
const SHAPED = 10

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
    const hints = hintsOf(group.predicates.map((predicate) => predicate.sql))
    const form = columns.length === 1 && only ? await passingForm(trial, only, hints, [random, fixed]) : undefined
    if (only && form !== undefined) {
      found.forms.set(only.column.name, form)
      continue
    }
    const choices = same.map((one) => choicesOf(one, hints, fixed))
    const judged = await trial.passing(
      distinct([
        ...(columns.length > 1 ? await builtUp(reader, table, group.predicates, columns, choices, fixed) : []),
        ...tuples(choices, fixed),
        ...(await borrowed(reader, table, columns)),
      ]),
    )
    if (judged.length === 0) {
      const names = [...new Set(group.predicates.map((p) => p.name))].join(', ')
      return `no value was found that satisfies ${names}`
    }
    const own = await trial.passing(
      tuples(
        columns.map((one) => choicesOf(one, hints, random)),
        random,
      ),
    )
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
    // A value that no predicate needs to look at must be one of its type, too.
    const valid = `pg_catalog.num_nulls(${columns.map(({ column }) => `t.${quoteIdent(column.name)}`).join(', ')}) >= 0`
    this.#reader = reader
    this.#sql = `select t.${ord}::text as ord from (select b.*${computed.join('')} from
      (select v.${ord}, ${cells.join(', ')} from unnest(${arrays.join(', ')}) with ordinality v(${names.join(', ')}, ${ord})) b) t
      where ${[...predicates.map((p) => `(${p.sql}) is not false`), valid].join(' and ')} order by t.${ord}`
  }

  /** Those that pass, in their order. A tuple that makes the server fail (a division by zero) does not. */
  async passing(tuples: Value[][]): Promise<Value[][]> {
    const passed: Value[][] = []
    const waiting = [tuples]
    for (let asked = 0; asked < ASKED; asked++) {
      const some = waiting.pop()
      if (some === undefined) break
      try {
        passed.push(...(await this.#ask(some)))
      } catch {
        // One of them does: halves are asked for, the first one first.
        const half = Math.ceil(some.length / 2)
        if (some.length > 1) waiting.push(some.slice(half), some.slice(0, half))
      }
    }
    return passed
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
  hints: Hints,
  [random, fixed]: [Random, Random],
): Promise<string | undefined> {
  if (wanted.omitted !== undefined || wanted.parent !== undefined || wanted.parents) return undefined
  const { value } = wanted.column
  const forms = [...new Set([wanted.form, ...formsOf(value), ...patternForms(hints, value)])]
  for (const form of forms) {
    const makers = [
      maker({ ...spec(wanted), form }, random.fork(form)),
      maker({ ...spec(wanted), run: base36(fixed.fork('run'), 6), form }, valuesOf(wanted, form, fixed)),
    ]
    // Far apart, so that what holds for the first rows holds for the last.
    const samples = makers.flatMap((make) => Array.from({ length: OF_A_FORM }, (_, i) => [make(i < 30 ? i : i ** 3)]))
    if (patternOf(form) !== undefined && samples.some(([text]) => isReal(text ?? ''))) continue
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

/** Values for each column, and NULL where it is taken. */
function choicesOf(wanted: Wanted, hints: Hints, random: Random): Value[] {
  const { column, omitted, parent, parents } = wanted
  const none = column.notNull ? [] : [null]
  if (omitted !== undefined) return [omitted]
  if (parents) return [...parents, ...none]
  if (parent !== undefined) return [parent, ...none]
  const makers = new Map<string, Maker>()
  const made = (form: string, index: number): string => {
    const make = makers.get(form) ?? maker({ ...spec(wanted), form }, valuesOf(wanted, form, random))
    makers.set(form, make)
    return make(index)
  }
  return [...candidatesFor(column, hints, made, random.fork(`candidates of ${column.name}`)), ...none]
}

/** Tuples at random; of those that may be NULL each is there alone once, and each is missing once. */
function tuples(choices: Value[][], random: Random): Value[][] {
  const [single, ...more] = choices
  if (!single) return []
  if (more.length === 0) return single.map((value) => [value])
  const draw = (isNull: (i: number) => boolean | undefined): Value[] =>
    choices.map((choice, i) => {
      const [wanted, values] = [isNull(i), choice.filter((value) => value !== null)]
      if (wanted === undefined || values.length === 0) return random.pick(choice) ?? null
      return wanted && choice.includes(null) ? null : (random.pick(values) ?? null)
    })
  const shapes =
    choices.length > SHAPED ? [] : choices.flatMap((_, k) => [(i: number) => i !== k, (i: number) => i === k])
  return distinct([
    ...[...shapes, () => true, () => false].flatMap((shape) => Array.from({ length: 8 }, () => draw(shape))),
    ...Array.from({ length: TRIED }, () => draw(() => undefined)),
  ])
}

/**
 * Tuples put together column by column: only values that satisfy what is said of a column alone are combined, and only
 * combinations that satisfy what is said of the columns so far. Empty where that leads nowhere.
 */
async function builtUp(
  reader: Queries,
  table: Table,
  predicates: Predicate[],
  columns: Wanted[],
  choices: Value[][],
  random: Random,
): Promise<Value[][]> {
  const parts = predicates.flatMap((predicate) => partsOf(table, predicate))
  const passing = async (known: Wanted[], rows: Value[][], added: string): Promise<Value[][]> => {
    const names = known.map((one) => one.column.name)
    const about = parts.filter((p) => p.columns.includes(added) && p.columns.every((name) => names.includes(name)))
    return about.length === 0 ? rows : new Trial(reader, table, about, known).passing(rows)
  }
  let rows: Value[][] = [[]]
  for (const [i, wanted] of columns.entries()) {
    const { name } = wanted.column
    const alone = (
      await passing(
        [wanted],
        (choices[i] ?? []).map((value) => [value]),
        name,
      )
    ).flat()
    const all = rows.flatMap((row) => alone.map((value) => [...row, value]))
    const some =
      all.length <= TRIED
        ? all
        : Array.from({ length: TRIED }, () => [...(random.pick(rows) ?? []), random.pick(alone) ?? null])
    rows = random
      .shuffle(distinct(i === 0 ? some : await passing(columns.slice(0, i + 1), some, name)))
      .slice(0, TRIED / 2)
    if (rows.length === 0) return []
  }
  return rows
}

/** What a predicate says, in parts with the columns of each. */
function partsOf(table: Table, predicate: Predicate): Predicate[] {
  const parts = conjunctsOf(predicate.sql)
  if (parts.length === 1) return [predicate]
  return parts.map((sql) => {
    const computed = table.columns.filter((c) => c.generated && speaksOf(sql, c.name)).flatMap((c) => c.uses)
    return {
      ...predicate,
      sql,
      columns: predicate.columns.filter((name) => computed.includes(name) || speaksOf(sql, name)),
    }
  })
}

/** Values that existing rows have in these columns; a real mail address is left where it is. */
async function borrowed(reader: Queries, table: Table, columns: Wanted[]): Promise<Value[][]> {
  const cells = columns.map(({ column }, i) => `${quoteIdent(column.name)}::text as c${i}`)
  try {
    const rows = await reader.query(`select ${cells.join(', ')} from ${quoteTable(table)} limit ${POOL}`)
    return rows
      .map((row) => columns.map((c, i) => (c.omitted !== undefined ? c.omitted : gate(c, row[`c${i}`] ?? null))))
      .filter((tuple) => !tuple.some((value) => value !== null && value.includes('@') && !value.endsWith('.invalid')))
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
