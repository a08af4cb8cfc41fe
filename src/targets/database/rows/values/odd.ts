/** Values of the rarer types, of extensions' types, and of types that are made of others: pure and seeded. */
import type { Random } from '../../../../core/random.ts'
import type { ValueType } from '../facts.ts'
import type { Maker, ValueSpec } from './spec.ts'

type Make = (spec: ValueSpec, random: Random) => Maker

/** By internal name. Extensions' types go by their own name, wherever they were installed. */
export const ODD: Readonly<Record<string, Make>> = {
  money: numbered(1_000_000, (n, random) => `${n}.${String(random.int(100)).padStart(2, '0')}`),
  xml: numbered(1_000_000, (n) => `<chaos n="${n}">made up</chaos>`),
  bit: bits,
  varbit: bits,
  tsvector: numbered(1_000_000, (n) => `'chaos':1 'n${n}':2`),
  tsquery: numbered(1_000_000, (n) => `'chaos' & 'n${n}'`),
  jsonpath: numbered(1_000_000, (n) => `$."n${n}"`),
  pg_lsn: numbered(0xffffff, (n) => `0/${n.toString(16)}`),
  char: (_, random) => () => 'abcdefgh'[random.int(8)] ?? 'a',
  point: numbered(1_000_000, (n, random) => `(${n},${random.int(1000)})`),
  line: numbered(1_000_000, (n) => `{1,-1,${n}}`),
  lseg: numbered(1_000_000, (n) => `[(${n},0),(${n + 1},1)]`),
  box: numbered(1_000_000, (n) => `(${n + 1},1),(${n},0)`),
  path: numbered(1_000_000, (n) => `((${n},0),(${n + 1},1),(${n},2))`),
  polygon: numbered(1_000_000, (n) => `((${n},0),(${n + 1},1),(${n},2))`),
  circle: numbered(1_000_000, (n) => `<(${n},0),1>`),
  int4multirange: numbered(1_000_000, (n) => `{[${n * 2},${n * 2 + 2})}`),
  int8multirange: numbered(1_000_000, (n) => `{[${n * 2},${n * 2 + 2})}`),
  nummultirange: numbered(1_000_000, (n) => `{[${n * 2},${n * 2 + 2})}`),
  datemultirange: numbered(2000, (n) => `{[${day(n)},${day(n + 1)})}`),
  tsmultirange: numbered(2000, (n) => `{[${day(n)},${day(n + 1)})}`),
  tstzmultirange: numbered(2000, (n) => `{[${day(n)},${day(n + 1)})}`),
  hstore: numbered(1_000_000, (n) => `"chaos"=>"made up", "n"=>"${n}"`),
  ltree: numbered(1_000_000, (n) => `chaos.n${n}`),
  lquery: numbered(1_000_000, (n) => `chaos.n${n}`),
  cube: numbered(1_000_000, (n) => `(${n},1)`),
  vector: vectors,
  halfvec: vectors,
  geometry: numbered(80, (n, random) => `POINT(${n} ${random.int(80)})`),
  geography: numbered(80, (n, random) => `POINT(${n} ${random.int(80)})`),
  /** An array of elements that nobody can make. */
  empty_array: () => () => '{}',
}

/** Whether a server might not take a value of ours: one is tried before it is relied upon. */
export function isOdd(type: ValueType): boolean {
  return type.of !== undefined || Object.hasOwn(ODD, type.name)
}

/** A row of a composite type, or a range of a type that was defined by the user. `each` makes the parts. */
export function composed(
  { type, unique, run }: ValueSpec,
  parts: readonly ValueType[],
  each: (part: ValueSpec) => Maker,
): Maker {
  const makers = parts.map((part) => each({ type: part, form: '', unique, run }))
  if (type.name === 'record') {
    return (index) => `(${makers.map((make) => `"${make(index).replaceAll(/["\\]/g, '$&$&')}"`).join(',')})`
  }
  // The range of one value, both ends included: every type of range has it.
  const range: Maker = (index) => {
    const end = makers[0]?.(index) ?? ''
    return `["${end}","${end}"]`
  }
  return type.name === 'multirange' ? (index) => `{${range(index)}}` : range
}

function numbered(most: number, text: (n: number, random: Random) => string): Make {
  return ({ unique }, random) =>
    (index) =>
      text(unique ? index : random.int(most), random)
}

function bits({ type, unique }: ValueSpec, random: Random): Maker {
  const length = type.length ?? (type.name === 'bit' ? 1 : 32)
  const wide = Math.min(length, 48)
  return (index) => (unique ? index % 2 ** wide : random.int(2 ** wide)).toString(2).padStart(length, '0')
}

function vectors({ type }: ValueSpec, random: Random): Maker {
  const size = type.length ?? 3
  return () => `[${Array.from({ length: size }, () => random.int(1000) / 1000).join(',')}]`
}

function day(n: number): string {
  return new Date(Date.UTC(2020, 0, 1) + n * 86_400_000).toISOString().slice(0, 10)
}
