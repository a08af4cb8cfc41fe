/** Values that may satisfy a CHECK: made up, and read out of its expression. Nothing here is sure; the server judges them. */
import type { Random } from '../../../../core/random.ts'
import { jsonCandidates } from './json.ts'
import { likeAsRegex, similarAsRegex, textsOf } from './patterns.ts'
import type { Column, ValueType } from '../facts.ts'
import { formOfPattern, formsOf, lengthOf, maker } from './value.ts'

/** Quoted texts, numbers and lengths that the predicates of some columns speak of. */
export interface Hints {
  texts: string[]
  numbers: string[]
  /** Regular expressions whose texts may be wanted. */
  patterns: string[]
  /** How many characters or elements a value may have to have. */
  sizes: number[]
}

/** Longest text, and most elements, that is made for a CHECK of the length. */
const LONGEST = 300
const PATTERNS = 40

export function hintsOf(predicates: readonly string[]): Hints {
  const texts = [...new Set(predicates.flatMap(textsIn))]
  const numbers = [...new Set(predicates.flatMap(numbersIn))]
  const aboutSize = predicates.filter((sql) => /length|cardinality|array_|left|right|nlevel|"?substring/i.test(sql))
  const sizes = [...new Set(aboutSize.flatMap(numbersIn).flatMap(around).map(Number))].filter(
    (n) => Number.isInteger(n) && n >= 0 && n <= LONGEST,
  )
  return { texts, numbers, sizes, patterns: patternsOf(texts, sizes).slice(0, PATTERNS) }
}

function textsIn(sql: string): string[] {
  return [...sql.matchAll(/'((?:[^']|'')*)'/g)].map((m) => (m[1] ?? '').replaceAll("''", "'"))
}

function numbersIn(sql: string): string[] {
  return [
    ...sql
      .replaceAll(/'(?:[^']|'')*'/g, (text) => (/^'-?[\d.]+'$/.test(text) ? text.slice(1, -1) : ' '))
      .matchAll(/(?<![\w."])-?\d+(?:\.\d+)?(?![\w."])/g),
  ].map((m) => m[0])
}

/** A number and those beside it: a limit may be excluded. */
function around(number: string): string[] {
  if (!/^-?\d+$/.test(number)) return [number, `${Math.floor(Number(number))}`, `${Math.ceil(Number(number))}`]
  const n = BigInt(number)
  return [number, `${n + 1n}`, `${n - 1n}`]
}

/** Every text may be a regular expression, a pattern of LIKE or SIMILAR TO, or how a value begins or ends. */
function patternsOf(texts: readonly string[], sizes: readonly number[]): string[] {
  const found: string[] = []
  for (const text of texts) {
    if (/[[\]\\^$.*+?{}()|]/.test(text)) found.push(text)
    if (/[%_]/.test(text)) found.push(likeAsRegex(text), similarAsRegex(text))
  }
  for (const n of sizes) if (n > 0) for (const set of SETS) found.push(`^${set}{${n}}$`)
  for (const text of texts) {
    if (text.length > 40 || found.includes(text)) continue
    const plain = likeAsRegex(text.replaceAll(/[%_\\]/g, '\\$&')).slice(1, -1)
    found.push(`^${plain}[a-z0-9]{1,8}$`, `^[a-z0-9]{1,8}${plain}$`, `^[a-z0-9]{1,8}${plain}[a-z0-9]{1,8}$`)
  }
  return [...new Set(found)]
}

const SETS = ['[a-z]', '[0-9]', '[A-Z]', '[0-9a-f]']

/** Forms of which every value may satisfy the predicates. */
export function patternForms({ patterns }: Hints, type: ValueType): string[] {
  if (!isText(type)) return []
  const longest = lengthOf(type)
  return patterns.filter((pattern) => textsOf(pattern, longest) !== undefined).map(formOfPattern)
}

/** Values for one column, those that say something first. NULL is not among them. */
export function candidatesFor(
  column: Column,
  hints: Hints,
  made: (form: string, index: number) => string,
  random: Random,
): string[] {
  const { value } = column
  const own = formsOf(value).flatMap((form) => Array.from({ length: 4 }, (_, i) => made(form, i)))
  const found = [...own, ...fromHints(column, hints, random)].filter(
    (text) => !(isText(value) && (isReal(text) || text.length > lengthOf(value))),
  )
  return [...new Set(found)].slice(0, CANDIDATES)
}

const CANDIDATES = 300

/** A mail address or a place on the web that somebody may have: nothing of ours must be sent there. */
export function isReal(text: string): boolean {
  return /[^@]@[^@]+\.[a-z]|:\/\//i.test(text) && !/\.invalid\b/.test(text)
}

function fromHints(column: Column, hints: Hints, random: Random): string[] {
  const { value } = column
  if (value.array) return arrays(value, hints, random)
  if (value.labels) return value.labels
  if (isText(value)) return textCandidates(value, hints, random)
  if (value.name === 'json' || value.name === 'jsonb') return jsonCandidates(hints, random)
  if (value.name in WHOLE || FRACTIONAL.test(value.name)) return numberCandidates(value, hints)
  if (value.name === 'date') return dates(hints)
  if (/^timestamp(tz)?$/.test(value.name)) return [...dates(hints), ...dates(hints).slice(0, 2).flatMap(timesOf)]
  return [...(OTHERS[value.name]?.(hints) ?? []), ...hints.texts]
}

function isText(type: ValueType): boolean {
  return !type.array && !type.labels && ['text', 'varchar', 'bpchar', 'citext', 'name'].includes(type.name)
}

function textCandidates(type: ValueType, { texts, patterns, numbers, sizes }: Hints, random: Random): string[] {
  const longest = lengthOf(type)
  const lengths = [longest, ...sizes.filter((n) => n < longest).slice(0, 10)]
  const matching = patterns.flatMap((pattern) =>
    lengths.flatMap((length, i) => {
      const matches = textsOf(pattern, length)
      if (!matches) return []
      const count = i === 0 ? 6 : 2
      return Array.from({ length: count }, (_, n) =>
        matches.at(n === 0 ? 0n : BigInt(random.int(2 ** 48)) ** 3n % matches.size),
      )
    }),
  )
  const cased = texts.flatMap((text) => [text.toUpperCase(), text.toLowerCase()])
  return [...texts, ...cased, ...matching, ...numbers, '', 'a', 'A', '1', '0', 'a b', 'a.b', '/a/b']
}

const WHOLE: Readonly<Record<string, number>> = { int2: 16, int4: 32, int8: 64, oid: 32 }
const FRACTIONAL = /^(numeric|float[48]|money)$/

function numberCandidates({ name }: ValueType, { numbers }: Hints): string[] {
  const bits = WHOLE[name]
  const all = ['0', '1', '-1', ...numbers.flatMap(around)]
  if (bits === undefined)
    return ['0.5', ...all, ...all.map((n) => `${Number(n) + 0.5}`)].filter((n) => /^-?\d{1,15}(\.\d+)?$/.test(n))
  return all.filter((n) => /^-?\d+$/.test(n) && BigInt.asIntN(bits, BigInt(n)) === BigInt(n))
}

const timesOf = (day: string): string[] => (/ /.test(day) ? [] : [`${day} 00:00:01`, `${day} 12:00`, `${day} 13:00`])

/** Days that the predicates name and those beside them, every day of a week, and the ends of months and years. */
function dates({ texts }: Hints): string[] {
  const named = texts.flatMap((text) => /^(\d{4}-\d\d-\d\d)/.exec(text)?.[1] ?? [])
  const beside = named
    .flatMap((day) => [-1, 1].map((by) => new Date(Date.parse(day) + by * 86_400_000)))
    .filter((day) => !Number.isNaN(day.getTime()))
  const week = Array.from({ length: 7 }, (_, i) => `2024-01-0${i + 1}`)
  return [
    ...texts.filter((text) => /^\d{4}-\d\d-\d\d/.test(text)),
    ...beside.map((day) => day.toISOString().slice(0, 10)),
    ...week,
    '2024-02-29',
    '2024-12-31',
    '2036-01-01',
  ]
}

/** Of the element's own values, and of the texts that the predicates name. */
function arrays(type: ValueType, hints: Hints, random: Random): string[] {
  const element = { ...type, array: false }
  const make = maker({ type: element, form: formsOf(element)[0] ?? 'any', unique: true, run: 'arrays' }, random)
  const quoted = (parts: readonly string[]): string =>
    `{${parts.map((part) => `"${part.replaceAll(/["\\]/g, '\\$&')}"`).join(type.name === 'box' ? ';' : ',')}}`
  const lengths = [...new Set([0, 1, 2, 3, ...hints.sizes.filter((n) => n <= 40)])]
  const [named, numbered] = [hints.texts.slice(0, 20), numberCandidates(element, hints).slice(0, 20)]
  const from =
    type.labels ?? (isText(element) ? named : element.name in WHOLE || FRACTIONAL.test(element.name) ? numbered : named)
  return [
    ...lengths.map((n) => quoted(Array.from({ length: n }, (_, i) => make(i)))),
    ...from.map((one) => quoted([one])),
    ...(from.length > 0
      ? lengths.map((n) => quoted(Array.from({ length: n }, (_, i) => from[i % from.length] ?? '')))
      : []),
    quoted(from),
  ]
}

const RANGES = (a: string, b: string): string[] => [
  'empty',
  `[${a},${b})`,
  `(${a},${b}]`,
  `[${a},${a}]`,
  `[${a},)`,
  `(,${a}]`,
  '(,)',
]
const NUMERIC_RANGES = ({ numbers }: Hints): string[] => [
  ...RANGES('1', '2'),
  ...RANGES('0', '100'),
  ...numbers.flatMap((n) => RANGES(n, `${Number(n) + 1}`)),
]
const DAYS = (): string[] => [...RANGES('2024-01-01', '2024-01-02'), ...RANGES('2024-01-01', '2024-02-01')]

const OTHERS: Readonly<Record<string, (hints: Hints) => string[]>> = {
  bool: () => ['t', 'f'],
  interval: () => ['0', '1 second', '1 hour', '1 day', '1 month', '1 year', '-1 day'],
  time: () => ['00:00', '08:00', '12:00', '17:30', '23:59'],
  timetz: () => ['00:00+00', '12:00+00', '23:59+00'],
  inet: () => ['10.0.0.0/8', '10.0.0.0/24', '10.0.0.1', '::1', 'fd00::1', 'fd00::/64'],
  cidr: () => ['10.0.0.0/8', '10.0.0.0/24', '10.0.0.1/32', 'fd00::/64'],
  bytea: ({ sizes }) => ['\\x', ...sizes.map((n) => `\\x${'c4'.repeat(n)}`)],
  ltree: ({ sizes }) => [
    'a',
    'a.b',
    'a.b.c',
    ...sizes.filter((n) => n > 0 && n < 40).map((n) => Array.from({ length: n }, () => 'a').join('.')),
  ],
  hstore: ({ texts }) => [...texts.map((text) => hstoreOf([text])), hstoreOf(texts), '', '"a"=>NULL'],
  uuid: () => ['00000000-0000-0000-0000-000000000000'],
  point: ({ numbers }) => ['(0,0)', '(1,1)', '(-1,-1)', ...numbers.map((n) => `(${n},${n})`)],
  xml: () => ['<a/>', 'text'],
  int4range: NUMERIC_RANGES,
  int8range: NUMERIC_RANGES,
  numrange: NUMERIC_RANGES,
  daterange: DAYS,
  tsrange: DAYS,
  tstzrange: DAYS,
}

function hstoreOf(keys: readonly string[]): string {
  return keys.map((key) => `"${key.replaceAll(/["\\]/g, '\\$&')}"=>"chaos"`).join(', ')
}
