/** What apply and undo ask of a kind of database about rows. Types only. */
import type { DbSession, Queries } from '../client.ts'
import type { Batch, Recipe, Value } from '../rows/batch.ts'
import type { ForeignKey, ValueType } from '../rows/facts.ts'
import type { Key, Keys } from '../rows/keys.ts'
import type { Located, Renamed } from '../rows/located.ts'
import type { Ours, SeenRow, Trait } from '../rows/proof.ts'
import type { RowState, Swap, SwapRow } from '../rows/swap.ts'
import type { TableRef } from '../rows/table-ref.ts'

/** Tables of a step, as they are now. */
export interface Tables {
  /** By its identity, by its partitions with our rows, and by its name; empty: gone. */
  locate(
    on: Queries,
    table: { oid: string; schema: string; table: string; parts?: readonly string[] | undefined },
  ): Promise<Located[]>
  columnsNow(on: Queries, table: Located): Promise<Renamed>
  /** Foreign keys that refer to the table now. */
  referencing(on: Queries, table: TableRef): Promise<ForeignKey[]>
  /** The file that its rows are in; null where it has none of its own. */
  fileOf(on: Queries, oid: string): Promise<string | null>
  isPartitioned(on: Queries, oid: string): Promise<boolean>
  /** The partitions that rows under these keys are in. */
  partsWith(on: Queries, table: TableRef, key: Key, keys: Keys): Promise<string[]>
  /** Keeps the definition until the end of the transaction. Throws StaleError when it is not as it was planned for. */
  lockAsPlanned(
    on: Queries,
    table: TableRef & { shape: string },
    by: { delete: true } | { update: string },
  ): Promise<void>
  /** The same for an undo, whatever the definition is. */
  lockDefinition(on: Queries, table: Pick<TableRef, 'schema' | 'table'>, column?: string): Promise<void>
  /** Throws StaleError where code of others came in since the plan. `filled`: columns that we give values. */
  refuseForeignCode(
    on: Queries,
    table: { id: string; oid: string },
    what: { filled?: readonly string[]; beside: boolean },
  ): Promise<void>
  /** Throws RollbackError where an undo would run code of others that came in meanwhile. */
  requireOwnCode(on: Queries, table: { id: string; oid: string }, what: RowEvent): Promise<void>
}

/** What an undo is about to do to rows. */
export interface RowEvent {
  event: 'read' | 'DELETE' | { update: readonly string[] }
  /** Trigger functions that somebody has allowed, as `schema.name`. */
  allowed: readonly string[] | 'any'
  /** Rows of tables that refer to these are looked at. */
  referring: boolean
}

/** Rows by key, and columns of theirs with castable types. */
export interface RowsToChange {
  schema: string
  table: string
  key: Key
  keys: string[][]
  columns: readonly { name: string; type: string }[]
}

/** The same with what was recorded: which of `keys` were changed, from what to what. */
export interface OverwrittenRows extends RowsToChange {
  id: string
  oid: string
  columns: readonly { name: string; type: string; attnum?: number | undefined }[]
  pure: boolean
  changed?: number[] | undefined
  before?: Value[][] | undefined
  ours?: Value[][] | undefined
}

export interface LockedRow {
  /** Which of the keys. */
  at: number
  before: Value[]
}

/** Runs work that writes in a transaction of its own, once it may. */
export type Writing = <T>(work: (tx: Queries) => Promise<T>) => Promise<T>

/** Values overwritten, and put back by comparing. */
export interface Updates {
  /** Locks the rows and reads them; those whose texts would not come back as they are left out. */
  lockRows(on: Queries, rows: RowsToChange): Promise<LockedRow[]>
  /** Writes values, a list for each column; without any those that are there. By the number of the key, what was written. */
  overwrite(
    on: Queries,
    rows: RowsToChange,
    made: readonly (readonly Value[])[] | undefined,
  ): Promise<Map<number, Value[]>>
  /** The rows with their texts as columns of the types of now show them. */
  asTyped(on: Queries, columns: readonly { type: string; then: string }[], rows: readonly SwapRow[]): Promise<SwapRow[]>
  states(on: Queries, swap: Swap): Promise<RowState[]>
  /** Where a value is still ours, it becomes what it was before. */
  swapBack(on: Queries, swap: Swap): Promise<void>
  /** The same for values of ours anywhere in the table; without `writing` they are only counted. How many there were. */
  swapStrays(on: Queries, swap: Swap, options: { writing: Writing | undefined; signal: AbortSignal }): Promise<number>
}

/** One batch of db.insert_load. */
export interface Load extends Batch {
  recipe: Recipe
  key: Key
  /** The sequence that gives the integer key, quoted, where its numbers can be relied upon to rise. */
  counter?: string | undefined
  /** Rows may collide with others on a unique key, and are then left out. */
  skipCollisions: boolean
  /** The fastest way into the table may be tried: no collision is to be expected. */
  direct: boolean
  /** Foreign keys whose rows may refer to keys to come: such keys are not used. */
  avoid?: readonly ForeignKey[] | undefined
}

/** What names without a schema mean: to code of the application while it runs, and to statements of ours. */
export interface NamePath {
  theirs(): Promise<void>
  ours(): Promise<void>
}

/** Rows that go in. */
export interface Inserts {
  /** `trusted`: only schemas into which nobody else has put code. */
  path(on: Queries, searchPath: readonly string[], options: { trusted: boolean }): Promise<NamePath>
  /** The keys of the rows that went in, read inside the transaction; undefined where parents ran out before the first row. */
  batch(
    session: DbSession,
    table: TableRef,
    load: Load,
    parents: readonly (readonly Value[])[][],
  ): Promise<Keys | undefined>
  /** The first of the foreign keys by which rows that were there before refer to these rows of ours, not yet committed. */
  firstAdopting(
    on: Queries,
    table: TableRef,
    rows: { key: Key; keys: Keys },
    referencing: readonly ForeignKey[],
  ): Promise<ForeignKey | undefined>
}

/** Rows of ours that are taken out again. `proven`: versions of rows, as `read` named them, that are ours by their values. */
export interface Removals {
  /** Whether the form is known in which the server shows a text of the type. */
  canShow(type: ValueType): boolean
  /** Rows under keys of ours; `by others`: without those that carry our writer. */
  read(
    on: Queries,
    ours: Ours,
    options: { written: 'by others' | 'by anybody'; limit?: number | undefined },
  ): Promise<SeenRow[]>
  /** Made-up texts in the form in which the server shows them. */
  asShown(on: Queries, traits: readonly Trait[], rows: readonly (readonly Value[])[]): Promise<Value[][]>
  /** Deletes those that nothing of others depends on. */
  remove(on: Queries, ours: Ours, proven: readonly string[]): Promise<void>
  /** How many rows have keys of ours, how many of those stay because of others, and names of some, those that stay first. */
  count(
    on: Queries,
    ours: Ours,
    proven: readonly string[],
    names: number,
  ): Promise<{ present: number; kept: number; names: string[][] }>
}

/** A step of db.insert_load with what was recorded. */
export interface InsertedRows {
  id: string
  schema: string
  table: string
  oid: string
  key: Key
  keys?: Keys | undefined
  recipe: Recipe
  xid?: string | undefined
  /** A server with another history may have given keys and transaction to others. */
  server_start?: string | undefined
}

/** What proves rows ours to a person. */
export interface ProvenByHand {
  /** Nobody else comes up with the keys. */
  byKey: boolean
  /** The keys are pairs that nobody had, as long as the table has its rows in this file. */
  pairsIn: string | undefined
  /** Values that only we made, where the application has updated the rows or the table was written anew. */
  values: readonly { column: string; texts: readonly string[] }[]
}
