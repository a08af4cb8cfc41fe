/** What a plan asks of a kind of database: it reads, and tries values, and changes nothing. Types only. */
import type { Queries } from '../client.ts'
import type { Value } from '../rows/batch.ts'
import type { Column, Index, NumberSource, Predicate, Table } from '../rows/facts.ts'
import type { Key } from '../rows/keys.ts'
import type { Parents } from '../rows/parents.ts'
import type { TableRef } from '../rows/table-ref.ts'

/** What the server knows of its tables. */
export interface Catalog {
  /** The tables as they are now, by id; those that are gone are left out. `unreadable` where a name does not reach us as it is. */
  load(on: Queries, tables: readonly TableRef[]): Promise<Map<string, Table>>
  /** Where columns of these tables (by oid) draw numbers from. */
  numbers(on: Queries, oids: string[]): Promise<Map<string, NumberSource>>
  /** The database's encoding where not all of its texts reach us as they are. */
  encoding(on: Queries): Promise<string | undefined>
  /** What has this name in the first of the schemas, where it is something like a table and none: `a view`. */
  otherThanTable(on: Queries, schemas: readonly string[], name: string): Promise<string | undefined>
}

export interface ParentSample {
  limit: number
  /** Of large tables some pages only; without it, what comes first. */
  pages: boolean
  seed: number
}

export interface KeySample {
  /** `exact`: rows whose texts come to us and go back as they are; throws `unreadable` where one does not come at all. `plain`: of ASCII. */
  texts: 'all' | 'exact' | 'plain'
  /** What `staying` gave. */
  fits: string | undefined
  /** Rows with more bytes in these columns are left out. */
  bytes: number
  limit: number
  seed: number
  /** Spread over all of the table, or over a share of it; or what comes first. */
  from: 'all' | 'first' | { percent: number }
}

/** What rows that are there tell. The same for the same seed. */
export interface Samples {
  /** Tuples of existing parents. */
  parents(
    on: Queries,
    table: Pick<TableRef, 'schema' | 'table'>,
    parents: Parents,
    sample: ParentSample,
  ): Promise<Value[][]>
  countParents(
    on: Queries,
    table: Pick<TableRef, 'schema' | 'table'>,
    parents: Parents,
    sample: ParentSample,
  ): Promise<number>
  /** Rows of a table, counted up to `most`. */
  count(on: Queries, table: Pick<TableRef, 'schema' | 'table'>, most: number): Promise<number>
  /** Values of some rows in these columns. */
  rows(on: Queries, table: TableRef, columns: readonly string[], limit: number): Promise<Value[][]>
  /** The largest number of a column, or 0, and `more`. */
  largest(on: Queries, table: TableRef, column: string, more: number): Promise<string | undefined>
  /** Numbers, from 0, of the tuples that no row has in the columns of the index. */
  unused(on: Queries, table: Table, index: Index, tuples: readonly (readonly string[])[]): Promise<number[]>
  /** Whether the texts of these columns reach us as they are, in so many rows. `unreadable` where one does not come at all. */
  allExact(on: Queries, table: TableRef, columns: readonly string[], limit: number): Promise<boolean>
  /** A condition, for `keys` alone: a row still fits into the table when `changed` have values of ours. Undefined: each does. */
  staying(on: Queries, table: Table, changed: readonly Column[]): Promise<string | undefined>
  /** Keys of rows, with the bytes of key and columns. */
  keys(
    on: Queries,
    rows: { table: Table; key: Key; columns: readonly Column[] },
    sample: KeySample,
  ): Promise<{ key: string[]; bytes: number }[]>
}

/** The widest row that a load may put into a table. */
export interface WidestRow {
  columns: readonly { name: string; type: string }[]
  /** The longest text of each; null: it stays empty. */
  longest: ReadonlyMap<string, Value>
  /** Those that may stay empty; the last one is the first to. */
  optional: readonly string[]
}

/** Values tried by the server before a row has them. */
export interface Trials {
  /** Whether it takes the text as a value of the type. */
  takes(on: Queries, type: string, text: string): Promise<boolean>
  /** Gives the numbers, from 0, of tuples for these columns that satisfy the predicates; throws where one makes the server fail. */
  prepare(
    table: Table,
    predicates: readonly Predicate[],
    columns: readonly Column[],
  ): (on: Queries, tuples: readonly (readonly Value[])[]) => Promise<number[]>
  /** Why the row would not fit into the table, or which of its optional columns must stay empty so that it does. */
  fitting(on: Queries, table: Table, row: WidestRow): Promise<string | { without: string[] }>
  conditions: Conditions
}

/** Conditions in the words of the server: put together, and taken apart. */
export interface Conditions {
  any(conditions: readonly string[]): string
  /** The expression of a generated column can be computed. */
  computed(column: string, notNull: boolean): string
  /** The CHECK of a type, about a column of that type. */
  ofType(check: string, column: string): string
  /** The parts that must all hold; the condition itself where there are none. */
  conjuncts(condition: string): string[]
  speaksOf(condition: string, column: string): boolean
}
