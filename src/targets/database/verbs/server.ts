/** What an agent asks of a server that it is connected to. Types only. */
import type { Clock } from '../../../core/clock.ts'
import type { Identity } from '../../../core/identity.ts'
import type { Sample } from '../../../core/sample.ts'
import type { Plan } from '../../../core/skill.ts'
import type { AnySkill, Agent, Claim, ClaimKey, ConnectOptions, Discovery, Leftover } from '../../../core/target.ts'
import type { DbClient, DbReader, Queries } from '../client.ts'
import type { DatabaseConfig } from '../config.ts'

/** Connects and gives an agent; each dialect has one. */
export type ConnectAgent = (
  config: DatabaseConfig,
  skills: readonly AnySkill<DbReader, DbClient>[],
  options: ConnectOptions,
) => Promise<Agent>

export interface Opening {
  /** Of the control connection. */
  mark: string
  clock: Clock
  signal: AbortSignal
}

/** Opens the control connection. */
export type OpenServer = (config: DatabaseConfig, opening: Opening) => Promise<Server>

export interface Server {
  readonly client: DbClient
  /** Called after a lost control connection was opened again, before it is used. Throws when it is another server. */
  onReconnect: (control: Queries) => Promise<void>
  identity(control: Queries): Promise<Identity>
  discover(schemas: string[], signal: AbortSignal): Promise<Discovery>
  /** Throws RefusedError where sessions that we open would not be ours alone (a pooler). */
  refuseShared(): Promise<void>
  /** Lets the control be shown to be ours. Not before sharing is refused: there what shows it would stay with others. */
  showOurs(): Promise<void>
  /** A connection that reads only, for plans; closed with the server. */
  openReader(): Promise<DbReader>
  /** Limits on connections that count for us. */
  connectionLimits(): Promise<ConnectionLimit[]>
  /** The plan, or its error, with the place named in which each statement of theirs counts. */
  placed<S>(plan: () => Promise<Plan<S>>): Promise<Plan<S>>
  claims: ServerClaims
  /**
   * Tells sessions to end that have such a mark and are ours; `told` were ours when they were told before. What there still is of
   * that mark, but our own control.
   */
  endMarked(prefix: string, told: readonly Told[]): Promise<MarkedSession[]>
  /** How it is doing, on a connection of its own; sessions whose mark begins with `ours` are not counted. */
  sample(ours: string, signal: AbortSignal): Promise<Sample>
  /** Sessions of ours whose mark begins so, but our own control. */
  leftovers(prefix: string): Promise<Leftover[]>
  close(): Promise<void>
}

/** Claims on the server itself, which end with our session. */
export interface ServerClaims {
  /** Throws RefusedError REFUSED_CLAIMED, which names the holder. */
  take(keys: readonly ClaimKey[]): Promise<Claim>
  /** With a control connection that was opened anew. */
  takeAgain(control: Queries): Promise<void>
  /** Nothing is lost any more. */
  stop(): void
}

/** A limit that counts for us, and how much of it others use. */
export interface ConnectionLimit {
  /** For people: `role chaos (CONNECTION LIMIT 2)`. */
  of: string
  limit: number
  others: number
}

export interface Told {
  pid: string
  start: string
}

export interface MarkedSession extends Told {
  name: string
  role: string
  /** Of our own role; where it is another's it is none of ours. */
  ownRole: boolean
  ours: boolean
}
