/**
 * What the skills and `rows/` ask of a kind of database: a dialect holds the SQL and decides nothing, they decide and hold no
 * SQL. Types only; `index.ts` hands the dialect to the skills.
 */
import type { Clock } from '../../core/clock.ts'
import type { AnySkill } from '../../core/target.ts'
import type { ByHand, Plan, PlanContext, SkillSpec } from '../../core/skill.ts'
import type { DbClient, DbReader, Queries } from './client.ts'
import type { Privilege } from './rows/facts.ts'
import type { SizeOf } from './rows/old-types.ts'
import type { TableRef } from './rows/table-ref.ts'
import type { Catalog, Samples, Trials } from './verbs/reading.ts'
import type {
  InsertedRows,
  Inserts,
  OverwrittenRows,
  ProvenByHand,
  Removals,
  Tables,
  Updates,
} from './verbs/writing.ts'

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
  /** The server's own equality, where an index has none of its own; steps carry the words of it. */
  equality: string
  /** What lifts a missing privilege, as a statement. Names are quoted already, but the role's. */
  grant(
    privileges: readonly Privilege[],
    on: { table: string } | { schema: string } | { sequence: string },
    role: string,
  ): string
  locks: Locks
  sessions: Sessions
  settings: Settings
  transactions: Transactions
  catalog: Catalog
  tables: Tables
  samples: Samples
  trials: Trials
  inserts: Inserts
  removals: Removals
  updates: Updates
  byHand: ByHandWords
  examples: Examples
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
  /** The number of the session that answers. */
  ownPid(on: Queries): Promise<string>
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
  /** What changes one: `ALTER SYSTEM`. */
  statement: string
  /** Where one is written, for people. */
  whereWritten(name: string): string
  /** Sources of a value over which the statement has no effect. */
  stronger: readonly string[]
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
  begin(on: Queries): Promise<void>
  commit(on: Queries): Promise<void>
  rollback(on: Queries): Promise<void>
  /** Works inside an open transaction and takes back what was done; where it throws, the transaction is lost. */
  undone<T>(on: Queries, work: () => Promise<T>): Promise<T>
  /** The number of the transaction that is open. */
  current(on: Queries): Promise<string>
  /** What became of a transaction of ours; `unknown`: the server has forgotten, or never says. */
  fate(on: Queries, xid: string): Promise<'committed' | 'aborted' | 'running' | 'unknown'>
  /** What rows carry that a transaction of ours wrote; undefined where they carry nothing, or where it may be another's by now. */
  writer(on: Queries, xid: string): Promise<string | undefined>
  /** Makes durable, before COMMIT, which numbers the open transaction has been given: no crash gives them out again then. */
  makeNumbersDurable(on: Queries): Promise<boolean>
  /** When the server was started, and on which of its histories it is; another one may have given the same numbers to others. */
  history(on: Queries): Promise<{ start: string; timeline: string | null }>
}

/** Lines for a person at a shell; `config` is the run's target_config as the journal has it. */
export interface ByHandWords {
  /** Ends the session that holds locks. */
  endSession(config: unknown, session: SessionOf): string[]
  putSettingBack(config: unknown, change: SettingChange): ByHand
  remove(config: unknown, step: InsertedRows, proven: ProvenByHand): ByHand
  swapBack(config: unknown, rows: OverwrittenRows): ByHand
}

/** What a first configuration, and a survey, try out. */
export interface Examples {
  /** A setting that every application feels and none depends on, with two values, since one may be what it has already. */
  setting: { param: string; values: readonly [string, string] }
  /** What that does, and what its undo leaves, for people. */
  settingComment: string
  /** A lock with which reading goes on and writing waits. */
  lock: string
  /** A name of a table, where nobody has looked. */
  table: string
}
