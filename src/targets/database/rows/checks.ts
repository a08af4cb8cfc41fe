/** Finding values that CHECKs (of tables and domains) let pass: candidates are made here and tried by the server, read-only. */
import { seededRandom } from '../../../core/random.ts'
import type { Random } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { Samples, Trials } from '../verbs/reading.ts'
import type { Value } from './batch.ts'
import type { Predicate, Table } from './facts.ts'
import { groupPredicates, partsOf, predicatesOf } from './predicates.ts'
import { Trial } from './trial.ts'
import { candidatesFor, hintsOf, isReal, patternForms } from './values/candidates.ts'
import type { Hints } from './values/candidates.ts'
import type { Maker } from './values/spec.ts'
import type { Wanted } from './wanted.ts'
import { base36, formsOf, maker, patternOf } from './values/value.ts'

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
/** Of more columns it is not tried which of them are NULL. */
const SHAPED = 10

/**
 * Finds values for every column that a CHECK speaks of. The text returned says why there are none. Whether there are any
 * does not depend on `random`, so that a survey and every run judge alike: one seed happens on a value where others do not.
 */
export async function satisfyChecks(
  { trials, samples }: Pick<Dialect, 'trials' | 'samples'>,
  reader: Queries,
  table: Table,
  wanted: ReadonlyMap<string, Wanted>,
  random: Random,
): Promise<Satisfied | string> {
  const found: Satisfied = { forms: new Map(), pools: [] }
  const fixed = seededRandom(`CHECKs of ${table.id}`)
  const run = base36(fixed.fork('run'), 6)
  for (const group of groupPredicates(predicatesOf(trials, table))) {
    const columns = group.columns.flatMap((name) => wanted.get(name) ?? [])
    const same = columns.map((one) => ({ ...one, run }))
    const trial = new Trial(
      trials,
      reader,
      table,
      group.predicates,
      columns.map((one) => one.column),
    )
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
        ...(columns.length > 1 ? await builtUp(trials, reader, table, group.predicates, columns, choices, fixed) : []),
        ...tuples(choices, fixed),
        ...(await borrowed(samples, reader, table, columns)),
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
  trials: Trials,
  reader: Queries,
  table: Table,
  predicates: Predicate[],
  columns: Wanted[],
  choices: Value[][],
  random: Random,
): Promise<Value[][]> {
  const parts = predicates.flatMap((predicate) => partsOf(trials, table, predicate))
  const passing = async (known: Wanted[], rows: Value[][], added: string): Promise<Value[][]> => {
    const columns = known.map((one) => one.column)
    const names = columns.map(({ name }) => name)
    const about = parts.filter((p) => p.columns.includes(added) && p.columns.every((name) => names.includes(name)))
    return about.length === 0 ? rows : new Trial(trials, reader, table, about, columns).passing(rows)
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

/** Values that existing rows have in these columns; a real mail address is left where it is. */
async function borrowed(samples: Samples, reader: Queries, table: Table, columns: Wanted[]): Promise<Value[][]> {
  const names = columns.map(({ column }) => column.name)
  // A column that we may not read gives none.
  const rows = await samples.rows(reader, table, names, POOL).catch(() => [])
  return rows
    .map((row) => columns.map((c, i) => (c.omitted !== undefined ? c.omitted : gate(c, row[i] ?? null))))
    .filter((tuple) => !tuple.some((value) => value !== null && value.includes('@') && !value.endsWith('.invalid')))
}

/** Of a foreign key only whether it is there counts: which parent it is, is decided when the row is made. */
function gate(wanted: Wanted, value: Value): Value {
  return wanted.parent !== undefined && value !== null ? wanted.parent : value
}

function distinct(tuples: Value[][]): Value[][] {
  return [...new Map(tuples.map((tuple) => [JSON.stringify(tuple), tuple])).values()]
}
