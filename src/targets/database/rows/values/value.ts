/** One value of a type, in PostgreSQL's text form: pure, seeded, and recognisable as ours where there is room for it. */
import type { Random } from '../../../../core/random.ts'
import { composed, ODD } from './odd.ts'
import { textsOf } from './patterns.ts'
import type { ValueType } from '../facts.ts'
import type { Maker, ValueSpec } from './spec.ts'

/** Kinds of values a type has, the most natural one first. Empty: this type cannot be generated. */
export function formsOf(type: ValueType): string[] {
  if (type.labels) return ['label']
  if (TEXTS.has(type.name)) return Object.keys(TEXT_FORMS)
  if (type.name in INTEGERS || type.name in FRACTIONS) return Object.keys(NUMBER_FORMS)
  if (type.name in TIMES) return ['past', 'future']
  if (type.of) return type.of.every((part) => formsOf(part).length > 0) ? ['any'] : []
  return Object.hasOwn(OTHERS, type.name) || Object.hasOwn(ODD, type.name) ? ['any'] : []
}

/** The most natural form for a column of this name. */
export function formFor(type: ValueType, column: string): string {
  const hint = TEXTS.has(type.name) ? HINTS.find(([pattern]) => pattern.test(column))?.[1] : undefined
  return hint ?? formsOf(type)[0] ?? 'any'
}

/** How many values apart a type can hold when `unique` is asked for; a key needs at least as many as rows. */
export function room(type: ValueType): number {
  if (type.array) return room({ ...type, array: false })
  if (type.labels) return type.labels.length
  if (type.name === 'bool') return 2
  if (type.name === 'char' || type.name === 'empty_array') return 1
  if (type.name === 'bit') return 2 ** Math.min(48, type.length ?? 1)
  if (type.name === 'int2') return 32_767
  if (type.name === 'date') return DAYS
  if (type.name === 'numeric') return 10 ** Math.min(300, wholeDigits(type))
  return TEXTS.has(type.name) ? 36 ** Math.min(20, lengthOf(type)) : Infinity
}

/** True when nobody else would come up with the same value: then a value names a row as ours. */
export function tellsOurs(spec: ValueSpec): boolean {
  if (spec.type.array || spec.type.labels || patternOf(spec.form) !== undefined) return false
  if (TEXTS.has(spec.type.name)) return lengthOf(spec.type) >= TOKEN
  return ['uuid', 'bytea', 'timestamp', 'timestamptz'].includes(spec.type.name)
}

/** Whether a type has so many values that a random one is nobody else's: then a value can be put back by comparing. */
export function manyValued(type: ValueType): boolean {
  if (type.array || type.labels) return false
  if (TEXTS.has(type.name)) return lengthOf(type) >= 8
  if (type.name === 'numeric') return (numericSize(type)?.precision ?? 15) >= 9
  return ['int4', 'int8', 'float8', 'timestamp', 'timestamptz', 'uuid', 'json', 'jsonb', 'bytea'].includes(type.name)
}

/** How many bits a random value of a many-valued type has. */
export function bitsOf(type: ValueType): number {
  if (type.name === 'numeric') return 3.3 * Math.min(15, numericSize(type)?.precision ?? 15)
  return type.name === 'int4' ? 31 : 40
}

/** Makes random values of a many-valued type, from all over its range. */
export function wildMaker(type: ValueType, random: Random): () => string {
  const make = maker({ type, form: formsOf(type)[0] ?? 'any', unique: false, run: base36(random, 6) }, random)
  if (type.name === 'int4') return () => String(1 + random.int(2 ** 31 - 1))
  if (type.name === 'int8') return () => String(1 + random.int(2 ** 53 - 1))
  if (type.name === 'float8') return () => String(1 + random.int(2 ** 40) + random.next())
  if (type.name !== 'numeric') return () => make(random.int(2 ** 31))
  const { precision, scale } = numericSize(type) ?? { precision: 15, scale: 4 }
  const digits = Math.min(15, precision)
  return () => {
    const text = String(random.int(10 ** digits)).padStart(digits, '0')
    if (scale <= 0) return `${text}${'0'.repeat(-scale)}`
    return `${text.slice(0, -scale) || '0'}.${text.slice(-scale).padStart(Math.min(scale, precision), '0')}`
  }
}

/** Longest text, in characters, that a type takes. */
export function lengthOf(type: ValueType): number {
  if (type.name === 'name') return 63
  return (type.name === 'varchar' || type.name === 'bpchar') && type.length !== undefined ? type.length : Infinity
}

/** Precision and scale of a numeric; undefined when it has none. */
export function numericSize(type: ValueType): { precision: number; scale: number } | undefined {
  const { name, precision, scale = 0 } = type
  return name === 'numeric' && precision !== undefined ? { precision, scale } : undefined
}

export function maker(spec: ValueSpec, random: Random): Maker {
  if (!spec.type.array) return scalar(spec, random)
  const element = scalar({ ...spec, type: { ...spec.type, array: false } }, random)
  return (index) => {
    // A unique array needs an element that is.
    const parts = Array.from({ length: random.int(3) + (spec.unique ? 1 : 0) }, () => element(index))
    const quoted = parts.map((part) => `"${part.replaceAll(/["\\]/g, '\\$&')}"`)
    return `{${quoted.join(spec.type.name === 'box' ? ';' : ',')}}`
  }
}

function scalar(spec: ValueSpec, random: Random): Maker {
  const { type } = spec
  const { labels } = type
  if (labels) return (index) => (spec.unique ? labels[index % labels.length] : random.pick(labels)) ?? ''
  if (TEXTS.has(type.name)) return textMaker(spec, random)
  if (type.name in INTEGERS || type.name in FRACTIONS) return numberMaker(spec, random)
  const time = TIMES[type.name]
  if (time) return time(spec, random)
  if (type.of)
    return composed(spec, type.of, (part) => maker({ ...part, form: formsOf(part.type)[0] ?? 'any' }, random))
  const other = OTHERS[type.name] ?? ODD[type.name]
  if (!other) throw new RangeError(`values of type ${type.name} cannot be generated`)
  return other(spec, random)
}

const TEXTS: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'citext', 'name'])

/** Characters of a unique token: six that tell the run, and the row's number. */
const TOKEN = 12

/** Column names that say what the text must look like to the application. Mail goes nowhere: `.invalid` cannot exist. */
const HINTS: [RegExp, string][] = [
  [/e?mail/i, 'mail'],
  [/url|link|website/i, 'url'],
  [/phone|mobile/i, 'phone'],
]

/** Texts of a token, the nicest first; the first that is short enough is taken. */
const TEXT_FORMS: Record<string, ((token: string) => string)[]> = {
  plain: [(token) => `chaos-${token}`, (token) => token],
  mail: [(token) => `chaos-${token}@example.invalid`, (token) => `${token}@x.invalid`],
  url: [(token) => `https://example.invalid/chaos-${token}`, (token) => `http://x.invalid/${token}`],
  site: [(token) => `https://chaos${letters(token)}.invalid`, (token) => `http://${letters(token)}.invalid`],
  host: [(token) => `chaos${letters(token)}.invalid`, (token) => `${letters(token)}.invalid`],
  phone: [(token) => `+1555${digits(token)}`],
  digits: [digits],
  upper: [(token) => `CHAOS${token.toUpperCase()}`, (token) => token.toUpperCase()],
  letters: [(token) => `chaos${letters(token)}`, letters],
  capitals: [(token) => letters(token).toUpperCase()],
}

function digits(token: string): string {
  return parseBase36(token).toString().padStart(18, '0').slice(-18)
}

function letters(token: string): string {
  return token.replaceAll(/[0-9]/g, (digit) => 'ghijklmnop'[Number(digit)] ?? 'g')
}

function parseBase36(token: string): bigint {
  let value = 0n
  for (const character of token) value = value * 36n + BigInt(parseInt(character, 36))
  return value
}

/** The form of texts that match a regular expression. */
export function formOfPattern(pattern: string): string {
  return `${MATCHING}${pattern}`
}

/** The other way round; undefined for every other form. */
export function patternOf(form: string): string | undefined {
  return form.startsWith(MATCHING) ? form.slice(MATCHING.length) : undefined
}

const MATCHING = 'matching '

function matchingMaker(pattern: string, { type, unique, run }: ValueSpec, random: Random): Maker {
  const texts = textsOf(pattern, lengthOf(type))
  if (!texts) throw new RangeError(`texts that match ${pattern} cannot be made`)
  const { size } = texts
  if (!unique) return () => texts.at(below(size, random))
  const start = parseBase36(run) % size
  return (index) => texts.at((start + BigInt(index)) % size)
}

function below(size: bigint, random: Random): bigint {
  let n = 0n
  for (let most = 1n; most < size; most <<= 30n) n = (n << 30n) | BigInt(random.int(2 ** 30))
  return n % size
}

function textMaker(spec: ValueSpec, random: Random): Maker {
  const { type, form, unique, run } = spec
  const pattern = patternOf(form)
  if (pattern !== undefined) return matchingMaker(pattern, spec, random)
  const longest = lengthOf(type)
  const shapes = TEXT_FORMS[form] ?? [(token: string) => token]
  const fitting = shapes.find((shape) => shape('x'.repeat(TOKEN)).length <= longest)
  // Of what is too long its end is kept, where the row's number is.
  const shape = fitting ?? ((token: string) => (shapes.at(-1)?.(token) ?? token).slice(-longest))
  if (!unique) return () => shape(base36(random, 10))
  if (longest >= TOKEN) return (index) => shape(run + index.toString(36).padStart(TOKEN - 6, '0'))
  // No room for a name: count through what there is, from somewhere.
  const size = 36 ** Math.min(longest, 10)
  const start = parseInt(run, 36) % size
  return (index) => shape(((start + index) % size).toString(36).padStart(longest, '0'))
}

/** `length` random digits of base 36, made in one piece: a number's own `toString(36)` is ten times as slow. */
export function base36(random: Random, length: number): string {
  const codes = new Array<number>(length)
  let draw = 0
  for (let i = 0; i < length; i++) {
    draw = i % 5 === 0 ? random.int(36 ** 5) : Math.floor(draw / 36)
    const digit = draw % 36
    codes[i] = digit < 10 ? 48 + digit : 87 + digit
  }
  return String.fromCharCode(...codes)
}

const THREE: readonly string[] = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'))

/** Three decimal digits. */
function three(n: number): string {
  return THREE[n] ?? ''
}

/** The largest value. */
const INTEGERS: Record<string, bigint> = { int2: 32_767n, int4: 2_147_483_647n, int8: 9_223_372_036_854_775_807n }
/** Significant digits that survive. */
const FRACTIONS: Record<string, number> = { numeric: 15, float4: 6, float8: 15 }

/** The largest value of each form; numbers begin at 1 where nothing says otherwise. */
const NUMBER_FORMS: Record<string, number> = {
  many: 1_000_000,
  thousand: 1_000,
  hundred: 100,
  five: 5,
  bit: 1,
  negative: -1_000,
}

function numberMaker({ type, form, unique, base }: ValueSpec, random: Random): Maker {
  const most = NUMBER_FORMS[form] ?? 1_000
  const largest =
    type.name === 'numeric' ? 10 ** Math.min(15, wholeDigits(type)) - 1 : Number(INTEGERS[type.name] ?? 1e6)
  const limit = Math.min(Math.abs(most), largest)
  const scale = scaleOf(type)
  if (unique && base !== undefined) {
    const start = BigInt(base)
    return (index) => (start + BigInt(index)).toString()
  }
  const whole = (index: number): number => {
    if (form === 'bit') return random.int(2)
    return unique ? 1 + (index % Math.max(1, limit)) : Math.min(limit, 1 + random.int(Math.max(1, limit)))
  }
  return (index) => {
    const sign = most < 0 ? '-' : ''
    if (limit < 1) return `${sign}0.${String(random.int(10 ** Math.min(scale, 9))).padStart(scale, '0')}`
    if (scale <= 0) return `${sign}${whole(index)}${'0'.repeat(-scale)}`
    // One less and something after the point: the largest value stays the largest.
    return `${sign}${whole(index) - 1}.${three(1 + random.int(999)).slice(-scale)}`
  }
}

/** Digits before the point. */
function wholeDigits(type: ValueType): number {
  const size = numericSize(type)
  return size ? Math.max(0, size.precision - Math.max(0, size.scale)) : 15
}

/** Digits after the point. */
function scaleOf(type: ValueType): number {
  if (type.name in INTEGERS) return 0
  return numericSize(type)?.scale ?? 2
}

/** Dates lie in 2020–2025 or 2035–2040: safely before and after any now. */
const PAST = Date.UTC(2020, 0, 1)
const FUTURE = Date.UTC(2035, 0, 1)
const YEARS = 6 * 365
const DAY = 86_400_000
/** For unique dates. */
const DAYS = 100 * 365

const TIMES: Record<string, (spec: ValueSpec, random: Random) => Maker> = {
  date: (spec, random) => (index) =>
    new Date(startOf(spec) + (spec.unique ? index % DAYS : random.int(YEARS)) * DAY).toISOString().slice(0, 10),
  timestamp: instants,
  timestamptz: instants,
  time: clocks,
  timetz: clocks,
}

function startOf(spec: ValueSpec): number {
  return spec.form === 'future' ? FUTURE : PAST
}

function instants(spec: ValueSpec, random: Random): Maker {
  // The second tells the row, the rest the run.
  const offset = random.int(1_000_000)
  const days = new Map<number, string>()
  const dayOf = (day: number): string => {
    const known = days.get(day)
    if (known !== undefined) return known
    const text = new Date(startOf(spec) + day * DAY).toISOString().slice(0, 10)
    days.set(day, text)
    return text
  }
  return (index) => {
    const second = spec.unique ? (index + offset) % (YEARS * 86_400) : random.int(YEARS * 86_400)
    const ofDay = second % 86_400
    // Rounded to whole seconds by the column it must still be the same second.
    const micros = random.int(spec.unique ? 400_000 : 1_000_000)
    const fraction = three(Math.floor(micros / 1000)) + three(micros % 1000)
    return `${dayOf(Math.floor(second / 86_400))} ${timeOf(ofDay)}.${fraction}+00`
  }
}

/** `hh:mm:ss` of a second of the day. */
function timeOf(second: number): string {
  const parts = [Math.floor(second / 3600), Math.floor(second / 60) % 60, second % 60]
  return parts.map((n) => three(n).slice(1)).join(':')
}

function clocks({ unique }: ValueSpec, random: Random): Maker {
  return (index) => {
    const micros = unique ? index % (DAY * 1000) : random.int(DAY) * 1000
    const fraction = three(Math.floor(micros / 1000) % 1000) + three(micros % 1000)
    return `${timeOf(Math.floor(micros / 1_000_000) % 86_400)}.${fraction}`
  }
}

const OTHERS: Record<string, (spec: ValueSpec, random: Random) => Maker> = {
  bool:
    ({ unique }, random) =>
    (index) =>
      (unique ? index % 2 : random.int(2)) === 0 ? 'f' : 't',
  uuid: (_, random) => () => {
    const hex = hexOf(random, 32)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  },
  json: (_, random) => (index) => `{"chaos": "${base36(random, 8)}", "n": ${index}, "tags": ["a", null, true]}`,
  jsonb: (_, random) => (index) => `{"chaos": "${base36(random, 8)}", "n": ${index}, "tags": ["a", null, true]}`,
  bytea: (_, random) => () => `\\x${hexOf(random, 32)}`,
  interval:
    ({ unique }, random) =>
    (index) =>
      `${unique ? index : random.int(1_000_000)} seconds`,
  inet: addresses,
  cidr: addresses,
  macaddr: (_, random) => () => `02${hexOf(random, 10)}`,
  macaddr8: (_, random) => () => `02${hexOf(random, 14)}`,
  oid:
    ({ unique }, random) =>
    (index) =>
      String(1 + (unique ? index : random.int(1_000_000))),
  int4range: ranges,
  int8range: ranges,
  numrange: ranges,
  daterange: spans(10),
  tsrange: spans(19),
  tstzrange: spans(19),
}

function hexOf(random: Random, length: number): string {
  let text = ''
  while (text.length < length) text += random.int(0x1000000).toString(16).padStart(6, '0')
  return text.slice(0, length)
}

/** Of 10.0.0.0/8. */
function addresses({ unique }: ValueSpec, random: Random): Maker {
  return (index) => {
    const n = unique ? index % 2 ** 24 : random.int(2 ** 24)
    return `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
  }
}

function ranges({ unique }: ValueSpec, random: Random): Maker {
  return (index) => {
    const from = unique ? index * 2 : random.int(1_000_000)
    return `[${from},${from + 2})`
  }
}

/** Time ranges that do not overlap when they must be unique; `length` characters of an ISO instant. */
function spans(length: number): (spec: ValueSpec, random: Random) => Maker {
  return ({ unique }, random) =>
    (index) => {
      const from = PAST + (unique ? index % DAYS : random.int(YEARS)) * DAY
      return `[${[from, from + DAY].map((ms) => new Date(ms).toISOString().slice(0, length)).join(',')})`
    }
}
