/** What the row skills know about a table, as read from the catalog. */
import type { TableRef } from './table-ref.ts'

/** What a type says of the size of its values. */
export type TypeSize = Pick<ValueType, 'length' | 'precision' | 'scale'>

/** A type as values of it are written; domains are resolved to what they are made of, arrays to their elements. */
export interface ValueType {
  /** The base type by the name that PostgreSQL gives it inside: `int4`, `varchar`, `timestamptz`, an enum's own name. */
  name: string
  /** The most characters, bits or elements that it takes; absent where nothing is said. */
  length?: number | undefined
  /** Digits of a numeric, or of the second of a time. */
  precision?: number | undefined
  /** Of a numeric: digits after the point. */
  scale?: number | undefined
  /** Of an enum, in order. */
  labels?: string[] | undefined
  array?: boolean | undefined
  /** What a composite type (`record`) or a user's `range` or `multirange` is made of. */
  of?: ValueType[] | undefined
}

export interface Column {
  name: string
  /** Its number in the table, which a new name does not change. */
  attnum: number
  /** Castable: `character varying(20)`, `public.mood`. */
  type: string
  /** What a domain is made of, castable; same as `type` when it is none. */
  baseType: string
  value: ValueType
  notNull: boolean
  hasDefault: boolean
  /** Its value comes from a sequence or an identity. */
  sequence: boolean
  /** The sequence behind it, quoted, when its numbers only rise and we may draw one. */
  counter: string | null
  /** The sequence behind a default that we may not use, quoted; the GRANT line names it. */
  deniedSequence: string | null
  generated: boolean
  /** The expression and the columns of a generated column. */
  expression: string | null
  uses: string[]
  /** Domain CHECKs over `value`. */
  domainChecks: string[]
  /** How it is stored; only its dialect reads that. */
  stored: unknown
  mayInsert: boolean
  mayUpdate: boolean
  /** Why the default must not be evaluated: it would run code of others as us. */
  foreignDefault: string | null
}

export interface Index {
  unique: boolean
  primary: boolean
  exclusion: boolean
  /** False for deferrable constraints: those cannot decide a conflict. */
  immediate: boolean
  /** Covers every row, and stands on plain columns: it can name rows. */
  total: boolean
  columns: string[]
  /** Every column it depends on, those of expressions and predicates too. */
  uses: string[]
  /** The equality operator of each column, as the dialect writes it. */
  equality: string[]
}

export interface ForeignKey {
  name: string
  /** The table that holds the reference, and its columns. */
  from: TableRef
  columns: string[]
  /** The table referred to, and its columns. */
  to: TableRef
  refs: string[]
  /** `to.ref <operator> from.column`, one for each column. */
  equality: string[]
  /** Planner's estimates of the rows of both tables, and whether an index serves the look-up of referring rows. */
  fromRows: number
  toRows: number
  fromIndexed: boolean
  /** Whether we may read both tables, and see all rows of the referring one. */
  mayReadFrom: boolean
  mayReadTo: boolean
  fromHidden: boolean
  /** Keys of some parents do not reach us as they are; those of ASCII do. Set by the plan. */
  plain?: boolean
}

export interface Check {
  name: string
  columns: string[]
  /** SQL over the table's columns. */
  expression: string
}

/** What must hold of a row. */
export interface Predicate {
  /** For people. */
  name: string
  columns: string[]
  /** In the words of the dialect; true or NULL lets a row pass. */
  sql: string
}

export interface Partitions {
  /** What each partition takes, its own CHECKs included: SQL over the columns of the table. */
  bounds: string[]
  /** The columns that `bounds` speak of. */
  columns: string[]
  /** A partition that is a foreign table. */
  foreign: string | null
}

/** Of a schema (`USAGE`), a sequence (`USAGE`), or a table. */
export type Privilege = 'USAGE' | 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

export interface Trigger {
  name: string
  on: { insert: boolean; delete: boolean; update: boolean }
  /** Of `UPDATE OF`: it fires for these columns only. Empty: for all. */
  columns: string[]
  /** `app.touch`, and the role that owns it. */
  function: string
  owner: string
  /** The server's own function, which changes nothing but a column of the row that is written. */
  harmless: boolean
}

export interface Table extends TableRef {
  oid: string
  /** Planner's estimate. */
  rows: number
  /** Changes when anything does that a write of ours depends on. */
  shape: string
  /** Of a partitioned table. */
  partitions: Partitions | null
  /** The partitioned table at the top, where this is one of its partitions. */
  partitionOf: string | null
  /** Part of an inheritance tree. */
  inherits: boolean
  /** Those that are enabled. */
  triggers: Trigger[]
  rules: string[]
  rowSecurity: boolean
  extension: string | null
  /** Published for replication without a way to name rows: updates and deletes fail. */
  unreplicable: boolean
  /** Missing of USAGE (on the schema), SELECT, INSERT, UPDATE, DELETE. */
  denied: ReadonlySet<string>
  /** Why no row of it may be touched: a stranger's code would run as us. And the same of a table that it refers to or that refers to it. */
  foreignCode: string | null
  foreignBeside: string | null
  columns: Column[]
  indexes: Index[]
  /** Foreign keys of this table, and those of others (or itself) that refer to it. */
  references: ForeignKey[]
  referencedBy: ForeignKey[]
  checks: Check[]
}

/** A sequence, and every column in the database that its numbers go to. */
export interface NumberSource {
  /** For people: `public.orders_id_seq`. */
  name: string
  increment: bigint
  min: bigint
  max: bigint
  start: bigint
  /** The last number given or put by in some session; null when none was. */
  last: bigint | null
  cycle: boolean
  /** So many numbers each session takes at once; those it does not use are lost. */
  cache: bigint
  columns: { table: string; column: string; draws: boolean; unique: boolean; type: string; digits: number | null }[]
}
