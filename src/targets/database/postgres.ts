/** The PostgreSQL client: pinned sessions that carry our mark, one control connection that survives a lost server. */
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { messageOf, RefusedError, TargetError } from '../../core/errors.ts'
import type { DbClient, DbReader, DbSession, Row, SessionOptions } from './client.ts'

/** Longest statement, unless a session asks for another limit. */
const STATEMENT_MS = 60_000
/** How much later than its own timeout a server may answer. */
const ANSWER_GRACE_MS = 15_000
const CONNECT_MS = 10_000

/** Values come back as the server's text, so that before-images are exact (int8, numeric, infinity, bytea …). */
const TEXT_TYPES = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig

/**
 * Settings every connection of ours pins, so that neither the role's defaults nor a fault in place changes what the undo
 * reads and writes. They travel in the startup packet: a chaos `statement_timeout` cannot hit before they hold.
 */
function pinned(version: number, options: SessionOptions & { readOnly?: boolean } = {}): Record<string, string> {
  const settings: Record<string, string> = {
    statement_timeout: String(options.statementMs ?? STATEMENT_MS),
    lock_timeout: String(options.lockMs ?? 10_000),
    idle_in_transaction_session_timeout: String(options.idleInTransactionMs ?? 60_000),
    default_transaction_read_only: options.readOnly ? 'on' : 'off',
    default_transaction_isolation: 'read\\ committed',
    default_transaction_deferrable: 'off',
    DateStyle: 'ISO,YMD',
    IntervalStyle: 'postgres',
    TimeZone: 'UTC',
    bytea_output: 'hex',
    extra_float_digits: '1',
    xmloption: 'content',
    lc_monetary: 'C',
    standard_conforming_strings: 'on',
    array_nulls: 'on',
    transform_null_equals: 'off',
    quote_all_identifiers: 'off',
    row_security: 'on',
    exit_on_error: 'off',
    jit: 'off',
    client_min_messages: 'warning',
    default_tablespace: '',
    temp_tablespaces: '',
    tcp_user_timeout: '0',
    // A server that does not know a name in the startup packet refuses the connection.
    ...(version >= 140_000 ? { idle_session_timeout: '0' } : {}),
    ...(version >= 170_000 ? { transaction_timeout: '0' } : {}),
    // The server notices that our host is gone within about 25 s, and then ends the session and its locks.
    tcp_keepalives_idle: '10',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
  }
  const unpinned = new Set(options.unpinned?.map((name) => name.toLowerCase()))
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !unpinned.has(name.toLowerCase())))
}

/** The pg configuration of one connection. Throws nothing; the URL was validated with the configuration. */
function clientConfig(connectionUrl: string, mark: string, settings: Record<string, string>): pg.ClientConfig {
  const url = new URL(connectionUrl)
  const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  // What stands in the URL would win over the fields beside it, and our mark must not be overridden.
  const given = url.searchParams.get('options')
  for (const key of ['application_name', 'fallback_application_name', 'options']) url.searchParams.delete(key)
  return {
    connectionString: url.toString(),
    application_name: mark,
    options: [...(given === null ? [] : [given]), ...options].join(' '),
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  }
}

/** One connected client, its own death made visible instead of crashing the process. */
class Connection {
  readonly client: pg.Client
  /** What the server calls itself while it lets us in, before any statement: 150000 for every 15.x; 0 when it does not say. */
  majorVersion = 0
  /** How long a statement may stay without an answer, milliseconds. */
  answerMs = STATEMENT_MS + ANSWER_GRACE_MS
  #lost: Error | undefined
  private constructor(client: pg.Client) {
    this.client = client
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter }
    connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterName === 'server_version') this.majorVersion = (parseInt(status.parameterValue) || 0) * 10_000
    })
    client.on('error', (error) => (this.#lost ??= error))
    client.on('end', () => (this.#lost ??= new Error('the server closed the connection')))
  }

  static async open(config: pg.ClientConfig, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted()
    const connection = new Connection(new pg.Client(config))
    let stop = (): void => undefined
    const aborted = new Promise<never>((_resolve, reject) => {
      // The driver never settles a connect() of a client that is closed meanwhile.
      stop = () => {
        void connection.close()
        reject(signal.reason as Error)
      }
    })
    signal.addEventListener('abort', stop, { once: true })
    try {
      await Promise.race([connection.client.connect(), aborted])
      signal.throwIfAborted()
    } catch (error) {
      void connection.close()
      signal.throwIfAborted()
      throw connectError(error)
    } finally {
      signal.removeEventListener('abort', stop)
    }
    return connection
  }

  /** Of the server process. */
  get pid(): string {
    return String((this.client as unknown as { processID: number | null }).processID ?? 0)
  }

  get lost(): boolean {
    return this.#lost !== undefined
  }

  async query<R extends Row>(sql: string, params: readonly unknown[] = []): Promise<R[]> {
    if (this.#lost)
      throw new TargetError('TARGET_UNREACHABLE', 'the connection to the database was lost', { cause: this.#lost })
    // The server ends a long statement by its own timeout; one that does not even do that is gone or cut off.
    const silence = setTimeout(() => {
      this.#lost ??= new Error('the server does not answer')
      this.#socket?.destroy()
    }, this.answerMs)
    try {
      return (await this.client.query<R>({ text: sql, values: [...params], types: TEXT_TYPES })).rows
    } finally {
      clearTimeout(silence)
    }
  }

  get #socket(): { destroy(): void } | undefined {
    return (this.client as unknown as { connection?: { stream?: { destroy(): void } } }).connection?.stream
  }

  /** Ends the connection without waiting for a server that does not answer. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.#socket?.destroy(), 1_000)
    try {
      if (!this.#lost) await this.client.end()
      else this.#socket?.destroy()
    } catch {
      this.#socket?.destroy()
    } finally {
      clearTimeout(timer)
    }
  }
}

function connectError(error: unknown): Error {
  const message = messageOf(error)
  if (/unsupported startup parameter/i.test(message)) {
    return new RefusedError(
      'REFUSED_POOLER',
      `a connection pooler stands between us and the database (${message}); connect to the server itself`,
      { cause: error },
    )
  }
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  if (/^28/.test(code))
    return new TargetError('TARGET_PRIVILEGE', `the database refuses the login: ${message}`, { cause: error })
  return new TargetError('TARGET_UNREACHABLE', `cannot connect to the database: ${message}`, { cause: error })
}

export interface PostgresOptions {
  connectionUrl: string
  /** The mark of the control connection; others that are opened for the same run carry it too. */
  mark: string
  signal: AbortSignal
}

/** The client of one target: reader for plan, control for inspect and revert, sessions for apply. */
export class PostgresClient implements DbClient {
  readonly searchPath: readonly string[]
  readonly role: string
  readonly serverVersion: number
  readonly #options: PostgresOptions
  readonly #auxiliary = new Map<string, Connection>()
  readonly #readers: Connection[] = []
  #control: Connection
  #queue: Promise<unknown> = Promise.resolve()
  #closed = false
  /** Called after a lost control connection was opened again, before it is used. Throws when it is another server. */
  onReconnect: (query: DbReader['query']) => Promise<void> = () => Promise.resolve()

  private constructor(
    options: PostgresOptions,
    control: Connection,
    facts: { searchPath: string[]; role: string; serverVersion: number },
  ) {
    this.#options = options
    this.#control = control
    this.searchPath = facts.searchPath
    this.role = facts.role
    this.serverVersion = facts.serverVersion
  }

  static async connect(options: PostgresOptions): Promise<PostgresClient> {
    const control = await openFirst(options)
    try {
      const [facts] = await control.query<{ path: string; role: string; version: string }>(
        `select array_to_json(current_schemas(false))::text as path, current_user::text as role, current_setting('server_version_num') as version`,
      )
      await control.query('set search_path = pg_catalog')
      if (!facts) throw new TargetError('TARGET_FAILED', 'the database answered nothing')
      return new PostgresClient(options, control, {
        searchPath: JSON.parse(facts.path) as string[],
        role: facts.role,
        serverVersion: Number(facts.version),
      })
    } catch (error) {
      await control.close()
      throw error
    }
  }

  query<R extends Row = Row>(sql: string, params: readonly unknown[] = []): Promise<R[]> {
    return this.#exclusive(async () => (await this.#live()).query<R>(sql, params))
  }

  transaction<T>(work: (tx: Pick<DbReader, 'query'>) => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      const control = await this.#live()
      await control.query('begin')
      try {
        const result = await work({ query: (sql, params) => control.query(sql, params) })
        await control.query('commit')
        return result
      } catch (error) {
        await control.query('rollback').catch(() => undefined)
        throw error
      }
    })
  }

  async session(mark: string, signal: AbortSignal, options: SessionOptions = {}): Promise<DbSession> {
    const connection = await Connection.open(
      clientConfig(this.#options.connectionUrl, mark, pinned(this.serverVersion, options)),
      signal,
    )
    connection.answerMs = (options.statementMs ?? STATEMENT_MS) + ANSWER_GRACE_MS
    try {
      if (!options.unpinned?.includes('search_path')) await connection.query('set search_path = pg_catalog')
      const [self] = await connection.query<{ pid: string; backend_start: string }>(
        'select pid::text, backend_start::text from pg_catalog.pg_stat_activity where pid = pg_backend_pid() and application_name = $1',
        [mark],
      )
      if (!self) {
        throw new RefusedError(
          'REFUSED_POOLER',
          'our name does not stick to the database session (a pooler?); connect to the server itself',
        )
      }
      return this.#marked(connection, self, signal)
    } catch (error) {
      await connection.close()
      throw error
    }
  }

  #marked(connection: Connection, self: { pid: string; backend_start: string }, signal: AbortSignal): DbSession {
    // A statement that waits on the server does not see our abort: the server must be told.
    const end = (): void => {
      this.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1::int and backend_start = $2::timestamptz',
        [self.pid, self.backend_start],
      ).catch(() => undefined)
    }
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    return {
      pid: self.pid,
      backendStart: self.backend_start,
      query: (sql, params) => connection.query(sql, params),
      async copyIn(sql, chunks) {
        const stream = connection.client.query(copyFrom(sql))
        await pipeline(Readable.from(chunks), stream)
        return stream.rowCount
      },
      async close() {
        signal.removeEventListener('abort', end)
        await connection.close()
      },
    }
  }

  async marked(mark: string): Promise<{ pid: string; backend_start: string | null }[]> {
    return this.query('select pid::text, backend_start::text from pg_stat_activity where application_name = $1', [mark])
  }

  /** A second connection that reads only, for plan. The caller closes it. */
  async openReader(): Promise<DbReader & { close(): Promise<void> }> {
    const config = clientConfig(
      this.#options.connectionUrl,
      this.#options.mark,
      pinned(this.serverVersion, { readOnly: true, statementMs: 30_000 }),
    )
    const connection = await Connection.open(config, this.#options.signal)
    await connection.query('set search_path = pg_catalog')
    this.#readers.push(connection)
    return {
      searchPath: this.searchPath,
      role: this.role,
      serverVersion: this.serverVersion,
      query: (sql, params) => connection.query(sql, params),
      close: () => connection.close(),
    }
  }

  /** The server processes of the connections that live as long as this client: control, readers, other databases. */
  ownPids(): string[] {
    return [this.#control, ...this.#readers, ...this.#auxiliary.values()].map((connection) => connection.pid)
  }

  /** A further connection of the control's own, to another database of the same server; kept until close. */
  async auxiliary(database: string): Promise<Pick<DbReader, 'query'>> {
    const known = this.#auxiliary.get(database)
    if (known && !known.lost) return known
    const url = new URL(this.#options.connectionUrl)
    url.pathname = `/${encodeURIComponent(database)}`
    const connection = await Connection.open(
      clientConfig(url.toString(), this.#options.mark, pinned(this.serverVersion)),
      this.#options.signal,
    )
    this.#auxiliary.set(database, connection)
    return connection
  }

  /**
   * Refuses a pooler that gives one server session to several clients: then neither a mark nor a lock would stay ours.
   * Two idle clients of such a pooler share a server process; two clients of a server never do.
   */
  async refusePooler(): Promise<void> {
    const other = await Connection.open(
      clientConfig(this.#options.connectionUrl, this.#options.mark, pinned(this.serverVersion)),
      this.#options.signal,
    )
    try {
      const pids: (string | undefined)[] = []
      for (const connection of [this.#control, other, this.#control]) {
        pids.push((await connection.query<{ pid: string }>('select pg_backend_pid()::text as pid'))[0]?.pid)
      }
      if (pids[0] === pids[1] || pids[0] !== pids[2]) {
        throw new RefusedError(
          'REFUSED_POOLER',
          'a transaction pooler stands between us and the database; connect to the server itself',
        )
      }
    } finally {
      await other.close()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([this.#control, ...this.#auxiliary.values()].map((connection) => connection.close()))
  }

  async #live(): Promise<Connection> {
    if (this.#closed) throw new TargetError('TARGET_UNREACHABLE', 'the connection to the database was closed')
    if (this.#control.lost) {
      const control = await openControl(
        { ...this.#options, signal: AbortSignal.timeout(CONNECT_MS) },
        this.serverVersion,
      )
      try {
        await control.query('set search_path = pg_catalog')
        await this.onReconnect((sql, params) => control.query(sql, params))
      } catch (error) {
        await control.close()
        throw error
      }
      this.#control = control
    }
    return this.#control
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }
}

/** Which settings there are to pin depends on the version, which the first connection tells without running a statement. */
async function openFirst(options: PostgresOptions): Promise<Connection> {
  const first = await openControl(options, 0)
  if (first.majorVersion < 140_000) return first
  await first.close()
  return openControl(options, first.majorVersion)
}

async function openControl(options: PostgresOptions, version: number): Promise<Connection> {
  const settings = pinned(version, { lockMs: 5_000 })
  return Connection.open(clientConfig(options.connectionUrl, options.mark, settings), options.signal)
}
