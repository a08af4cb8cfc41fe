/** What proves that a row under one of our keys is ours: the transaction that wrote it, or values that only we made. */
import type { Recipe, Source, Value } from './batch.ts'
import { makeRows } from './batch.ts'
import type { Batch } from './batch.ts'
import type { ForeignKey, ValueType } from './facts.ts'
import type { Key, Keys } from './keys.ts'
import type { Located } from './located.ts'
import { textsOf } from './values/patterns.ts'
import { lengthOf, numericSize, patternOf, tellsOurs } from './values/value.ts'

/** A key alone proves nothing: a table that was truncated, or made anew, has rows of others under keys of ours. */
export interface Proof {
  /** Nobody else comes up with the keys, so every row under them is ours. */
  byKey: boolean
  /** The lower 32 bits of our transaction's number, which rows carry; undefined where it may be another's as well. */
  writer: string | undefined
  /** Columns whose values can be made again. */
  traits: readonly Trait[]
  /** How many bits of a row's values must be ours: an update by the application hides the writer, but leaves other columns. */
  enough: number
  /** The traits of the row that was made as number `position` of the batch; undefined where rows cannot be told by number. */
  made: ((position: number) => readonly Value[]) | undefined
  /** The traits of every row of the batch. */
  all(): readonly (readonly Value[])[]
}

export interface Trait {
  column: string
  type: ValueType
  /** About how many bits somebody else would have to guess. */
  bits: number
}

/** Bits that prove a row of the table we wrote to, and of one that was put in its place. */
export const ENOUGH = { sameTable: 20, otherTable: 36 }
/** Rows of ours by key, in a table as it is now. */
export interface Ours {
  table: Located
  /** As its columns are called now; without columns when one of them was dropped: then only the writer finds rows. */
  key: Key
  keys: Keys
  /** The number, in the batch, of the row that has the first of `keys`. */
  first: number
  /** What tells rows of ours from others that have the same keys now. */
  proof: Proof
  /** Foreign keys that refer to the table now. */
  referencing: readonly ForeignKey[]
}

/** A row that is under one of our keys now. */
export interface SeenRow {
  /** Names this version of the row, to its dialect alone. */
  version: string
  key: string[]
  /** Of each trait, at most `COMPARED` characters. */
  values: Value[]
}

/** Bits of a value that proves a row in whichever row of the batch it was. */
export const STRONG = 40
/** Characters of a value that are compared. */
export const COMPARED = 200

/**
 * Traits of the rows of a batch, and their values row by row. `renamed` finds a column as it is now; `canShow` says of which
 * types the server's form of a text is known.
 */
export function traitsOf(
  recipe: Recipe,
  batch: Batch,
  renamed: (column: Recipe['columns'][number]) => { name: string } | undefined,
  canShow: (type: ValueType) => boolean,
): { traits: Trait[]; rows(): readonly (readonly Value[])[] } {
  const usable = recipe.columns.flatMap((column) => {
    const { source } = column
    const [name, bits] = [renamed(column)?.name, bitsOf(source)]
    if (source.from !== 'value' || bits === 0 || name === undefined || !canShow(source.type)) return []
    return [{ column, name, type: source.type, bits }]
  })
  let made: (readonly Value[])[] | undefined
  return {
    traits: usable.map(({ name, type, bits }) => ({ column: name, type, bits })),
    rows: () =>
      (made ??= [
        ...makeRows({ columns: usable.map(({ column }) => column), pools: recipe.pools, picks: [] }, batch, []),
      ]),
  }
}

/** Whether a value of this key column is one that nobody else comes up with, wherever it is found. */
export function isTelling(source: Source | undefined): boolean {
  if (source?.from !== 'value' || !source.unique) return false
  return tellsOurs(source) && bitsOf(source) >= ENOUGH.otherTable - 6
}

/** How many bits of a row are ours; `ours` and `found` have a text for each trait. */
export function bitsInCommon(traits: readonly Trait[], ours: readonly Value[], found: readonly Value[]): number {
  return traits.reduce((sum, { bits }, i) => {
    const [made, there] = [ours[i] ?? null, found[i] ?? null]
    return made !== null && made.slice(0, COMPARED) === there ? sum + bits : sum
  }, 0)
}

const TEXTS = ['text', 'varchar', 'bpchar', 'citext', 'name']
const BITS: Readonly<Record<string, number>> = {
  ...{ uuid: 100, bytea: 100, json: 41, jsonb: 41, macaddr: 40, macaddr8: 56, timestamp: 40, timestamptz: 40 },
}
/** Those that are counted through where they must be unique. */
const COUNTED: Readonly<Record<string, number>> = {
  ...{ date: 6, time: 20, timetz: 20, interval: 15, inet: 24, cidr: 24, oid: 18, bool: 0.5 },
  ...{ int4range: 18, int8range: 18, numrange: 18 },
}
/** Numbers of the small forms are those that an application writes too. */
const NUMBERS: Readonly<Record<string, number>> = { many: 20, thousand: 6, hundred: 3, five: 1, bit: 0.5, negative: 8 }

function bitsOf(source: Source): number {
  if (source.from !== 'value' || source.type.array) return 0
  const { type, form, unique, base } = source
  if (type.labels) return 0.5
  if (TEXTS.includes(type.name)) {
    const room = lengthOf(type)
    const pattern = patternOf(form)
    if (pattern !== undefined) {
      // An application writes texts of the same pattern, and not all of them equally often.
      const digits = textsOf(pattern, room)?.size.toString(2).length ?? 0
      return Math.min(unique ? 31 : 40, Math.floor(digits / 2))
    }
    if (unique) return room >= 12 ? 45 : Math.min(31, 4 * room)
    return room >= 8 ? 40 : 4 * room
  }
  if (/^(int[248]|numeric|float[48])$/.test(type.name)) {
    // Counted on from the largest that was there: an application does the same.
    if (unique) return base === undefined ? 1 : 0
    const whole = Math.min(NUMBERS[form] ?? 1, type.name === 'int2' ? 10 : 20)
    const size = numericSize(type)
    const digits = size ? Math.max(0, size.precision - size.scale) : 15
    const fraction = type.name.startsWith('int') ? 0 : Math.min(9, 3 * Math.max(0, size ? size.scale : 2))
    return Math.min(whole, 3 * digits) + fraction
  }
  return BITS[type.name] ?? (unique ? 0 : (COUNTED[type.name] ?? 0))
}
