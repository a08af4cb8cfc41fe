/**
 * What the skills and `rows/` ask of a kind of database: a dialect holds the SQL and decides nothing, they decide and hold no
 * SQL. Types only; `index.ts` hands the dialect to the skills.
 */
import type { Clock } from '../../core/clock.ts'
import type { AnySkill } from '../../core/target.ts'
import type { ByHand, Plan, PlanContext, RevertContext, SkillSpec } from '../../core/skill.ts'
import type { DbClient, DbReader, Queries } from './client.ts'
import type { Value } from './rows/batch.ts'
import type { Key, Keys } from './rows/keys.ts'
import type { Located, Renamed } from './rows/located.ts'
import type { TableRef } from './rows/names.ts'
import type { RowState, Swap, SwapRow } from './rows/swap.ts'
import type { SizeOf } from './rows/old-types.ts'

/** A skill for whichever dialect it is handed. */
export type DatabaseSkill<P, S> = (dialect: Dialect) => SkillSpec<DbReader, DbClient, P, S>

/** The same for a list, without its types. */
export type AnyDatabaseSkill = (dialect: Dialect) => AnySkill<DbReader, DbClient>

export interface Dialect {
  /** What an error of the server means; undefined when it is none of the server's. */
  kindOf(error: unknown): ErrorKind | undefined
  /** A server in recovery, which takes no writes. */
  isReplica(on: Queries): Promise<boolean>
  /** Looks now and then whom a session waits for: once it has given up, nobody can tell any more. Not with that session. */
  watchBlockers(on: Queries, pid: string, clock: Clock, firstMs?: number): Blockers
  /** The size of a type in a step of version 1, which has it as the server packs it. */
  typeSize: SizeOf
  locks: Locks
  sessions: Sessions
  settings: Settings
  transactions: Transactions
  tables: Tables
  updates: Updates
  byHand: ByHandWords
}

/** `refers`: a row of others refers to it, or its parent is gone. `serialization`: trying again may well work. */
export type ErrorKind =
  'denied' | 'gone' | 'locked' | 'timeout' | 'serialization' | 'refers' | 'duplicate' | 'unreadable' | 'other'

export interface Blockers {
  /** Who was last seen in the way: `billing (pid 4711)`. */
  seen(): string[]
  stop(): Promise<void>
}

/** One session of ours on the server; without a pid none was recorded. */
export interface SessionOf {
  mark: string
  pid?: string | undefined
  backend_start?: string | undefined
}

/** Locks on whole tables. */
export interface Locks {
  /** Their modes, from the weakest to the strongest. */
  modes: readonly [string, ...string[]]
  /** Modes of two sessions that the server gives one table at once only after each other. */
  conflicts: Readonly<Record<string, readonly string[]>>
  /** A server in recovery gives no others. */
  onReplicas: readonly string[]
  /** Schemas of the server itself. */
  ownSchemas: readonly string[]
  /** The GRANT lines that a lock of this mode still needs. */
  missingGrants(on: DbReader, tables: readonly TableRef[], mode: string): Promise<string[]>
  /** Ids of partitions and of tables that inherit: a lock goes down to them. */
  below(on: Queries, ids: readonly string[]): Promise<string[]>
  /** Begins a transaction and locks the tables in it, in their order. */
  take(on: Queries, tables: readonly TableRef[], mode: string): Promise<void>
  /** Ids of those of the tables that the session has locks on. */
  held(on: Queries, session: SessionOf, tables: readonly TableRef[]): Promise<string[]>
}

/** Sessions of ours that hold something. */
export interface Sessions {
  /** Begins a transaction that holds a snapshot, and with it back whatever waits for the oldest one. */
  openSnapshot(on: Queries): Promise<void>
  /** Tells the session to end. The pids of what is still there. */
  end(on: Queries, session: SessionOf): Promise<string[]>
}

/** One setting of the server as it is to be, and all that is needed to put it back. */
export interface SettingChange {
  name: string
  value: string
  /** Null where it had no line of its own. */
  before: string | null
  /** Names of the lines of the file, in order. */
  order: string[]
  /** What the server then says in a new session. */
  expected: string
  /** False where our role, database or connection URL has a value of its own: then we cannot see the server's. */
  visible: boolean
  list?: boolean | undefined
}

/** Of a change: ours, ours but elsewhere (its line, or lines of others that its undo has moved), as before, or somebody else's. */
export type SettingState = 'ours' | 'moved' | 'strays' | 'restored' | 'foreign'

/** Settings of the whole server. */
export interface Settings {
  plan(ctx: PlanContext<DbReader>, changes: readonly { param: string; value: string }[]): Promise<Plan<SettingChange>>
  /** What a new client gets; `ended` when the setting itself ended its session before it could say. */
  seen(
    client: DbClient,
    mark: string,
    name: string,
    signal: AbortSignal,
  ): Promise<{ setting: string; source: string } | 'ended' | undefined>
  /** Nobody has changed what is written of it since the plan. */
  isAsPlanned(on: Queries, change: SettingChange): Promise<boolean>
  write(on: Queries, change: SettingChange): Promise<void>
  /** Lets the server load what is written, and waits until it has. */
  reload(on: Queries, clock: Clock, signal: AbortSignal): Promise<void>
  state(on: Queries, change: SettingChange): Promise<SettingState>
  /** Whether new sessions get our value although something else is written; undefined when nobody can tell. */
  stillRuns(client: DbClient, mark: string, change: SettingChange, signal: AbortSignal): Promise<boolean | undefined>
  /** It names code that the server runs: no value of a journal's is put there. */
  decidesCode(on: Queries, change: SettingChange): Promise<boolean>
  /** Takes what is written back while its state is one of these. True when something was done. */
  putBack(
    client: DbClient,
    change: SettingChange,
    states: readonly SettingState[],
    signal: AbortSignal,
  ): Promise<boolean>
}

export interface Transactions {
  /** Works in one transaction of a session up to its COMMIT; what passes is tried again, and what `again` says. */
  uncommitted<T>(on: Queries, work: (attempt: number) => Promise<T>, again?: (error: unknown) => boolean): Promise<T>
  commit(on: Queries): Promise<void>
  /** The number of the transaction that is open. */
  current(on: Queries): Promise<string>
  /** Whether a transaction of ours was committed; `unknown`: the server has forgotten. Throws RollbackError while it runs. */
  fate(on: Queries, xid: string): Promise<'committed' | 'aborted' | 'unknown'>
  /** Tries an undo a few times; then throws RollbackError naming `what` and who is in the way. */
  stubbornly<T>(ctx: Undoing, what: string, work: () => Promise<T>): Promise<T>
}

export type Undoing = Pick<RevertContext<DbClient, unknown>, 'target' | 'mark' | 'clock' | 'signal'>

/** Tables of a step, as they are now. */
export interface Tables {
  /** By its identity, by its partitions with our rows, and by its name; empty: gone. */
  locate(
    on: Queries,
    table: { oid: string; schema: string; table: string; parts?: readonly string[] | undefined },
  ): Promise<Located[]>
  columnsNow(on: Queries, table: Located): Promise<Renamed>
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

/** Lines for a person at a shell; `config` is the run's target_config as the journal has it. */
export interface ByHandWords {
  /** Ends the session that holds locks. */
  endSession(config: unknown, session: SessionOf): string[]
  putSettingBack(config: unknown, change: SettingChange): ByHand
  swapBack(config: unknown, rows: OverwrittenRows): ByHand
}
