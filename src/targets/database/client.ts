/** A database connection as skills see it: SQL with bound parameters in, rows of text out. */

/** Every value arrives in the database's own text form (pinned settings make it exact and repeatable); NULL is null. */
export type Row = Record<string, string | null>

export interface DbReader {
  /** Parameters are bound as text or null; cast in the SQL where the type matters. */
  query<R extends Row = Row>(
    sql: string,
    params?: readonly (string | number | null | readonly (string | null)[])[],
  ): Promise<R[]>
  /** Schemas that a bare table name is looked up in, in order. */
  readonly searchPath: readonly string[]
  /** The role we are connected as, for GRANT lines. */
  readonly role: string
  /** The server's version as a number, e.g. 150018. */
  readonly serverVersion: number
}

/** Something that answers queries: the plan's reader, the control connection, a session, a transaction. */
export type Queries = Pick<DbReader, 'query'>

/** The control connection: opened before the first fault, kept for inspect and revert, reconnects when it was lost. */
export interface DbClient extends DbReader {
  /** Runs `work` in one transaction on the control connection; rolled back when it throws. Calls do not interleave. */
  transaction<T>(work: (tx: Pick<DbReader, 'query'>) => Promise<T>): Promise<T>
  /** A new connection that carries the mark as its application_name, so that quiesce finds it. */
  session(mark: string, signal: AbortSignal, options?: SessionOptions): Promise<DbSession>
  /** Sessions on this server whose application_name is exactly this mark. */
  marked(mark: string): Promise<{ pid: string; backend_start: string | null }[]>
}

export interface SessionOptions {
  /** Longest statement, milliseconds; default 60,000. */
  statementMs?: number
  /** Longest wait for a lock, milliseconds; default 10,000. */
  lockMs?: number
  /** The server ends the session when it idles in a transaction for longer, milliseconds; default 60,000. */
  idleInTransactionMs?: number
  /** Names of settings to leave as the server has them for a new client. */
  unpinned?: readonly string[]
}

/** One marked session. When its signal aborts, the server is told to end it and the query in flight rejects. */
export interface DbSession extends Pick<DbReader, 'query'> {
  readonly pid: string
  readonly backendStart: string
  /** Resolves with why, when the session ends before `close`; never rejects. */
  readonly lost: Promise<string>
  /** `COPY … FROM STDIN` fed with text chunks (best about 64 KB each); resolves with the number of rows. */
  copyIn(sql: string, chunks: AsyncIterable<string> | Iterable<string>): Promise<number>
  /** Ends the session; what was not committed is rolled back. Never throws, safe to call twice. */
  close(): Promise<void>
}
