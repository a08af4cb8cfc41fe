/** The PostgreSQL client: sessions that carry our mark, one control connection that survives a lost server. */
import { from as copyFrom } from 'pg-copy-streams'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { messageOf, RefusedError, TargetError } from '../../../core/errors.ts'
import { within } from '../../../core/within.ts'
import type { DbClient, DbReader, DbSession, Row, SessionOptions } from '../client.ts'
import { ANSWER_GRACE_MS, CONNECT_MS, Connection, openingOf, pinned, STATEMENT_MS } from './connect/connection.ts'
import { placeOf } from '../config.ts'
import { CHECK, checksClient } from './connect/checks-client.ts'
import { OWN_SESSION, prove } from './own-session.ts'
import type { Self } from './own-session.ts'
import type { Place } from '../config.ts'
import { attempts } from './connect/tls.ts'
import type { Ssl } from './connect/tls.ts'

export interface PostgresOptions {
  connectionUrl: string | Place
  /** The mark of the control connection; others that are opened for the same run carry it too. */
  mark: string
  signal: AbortSignal
}

/** The same, with the ways of TLS; they are one list for all connections, so that what worked is remembered. */
interface Reached extends Omit<PostgresOptions, 'connectionUrl'> {
  place: Place
  ssl: Ssl[]
}

/** The client of one target: reader for plan, control for inspect and revert, sessions for apply. */
export class PostgresClient implements DbClient {
  readonly searchPath: readonly string[]
  readonly role: string
  readonly serverVersion: number
  readonly #options: Reached
  readonly #check: boolean
  readonly #auxiliary = new Map<string, Connection>()
  readonly #readers = new Set<Connection>()
  #control: Connection
  #queue: Promise<unknown> = Promise.resolve()
  #closed = false
  #proved = false
  /** Called after a lost control connection was opened again, before it is used. Throws when it is another server. */
  onReconnect: (query: DbReader['query']) => Promise<void> = () => Promise.resolve()

  private constructor(
    options: Reached,
    control: Connection,
    facts: { searchPath: string[]; role: string; serverVersion: number; check: boolean },
  ) {
    this.#options = options
    this.#control = control
    this.searchPath = facts.searchPath
    this.role = facts.role
    this.serverVersion = facts.serverVersion
    this.#check = facts.check
  }

  static async connect(given: PostgresOptions): Promise<PostgresClient> {
    const { connectionUrl: where, mark, signal } = given
    const place = typeof where === 'string' ? placeOf({ connection_url: where }) : where
    const options = { place, mark, signal, ssl: attempts(place.tls, place.host, process.env) }
    const control = await openFirst(options)
    try {
      const [facts] = await control.query<{ path: string; role: string; version: string }>(
        // Along a path that is not ours yet: everything is qualified.
        `select pg_catalog.array_to_json(pg_catalog.current_schemas(false))::pg_catalog.text as path,
                current_user::pg_catalog.text as role, pg_catalog.current_setting('server_version_num') as version`,
      )
      await control.query('set search_path = pg_catalog, pg_temp')
      if (!facts) throw new TargetError('TARGET_FAILED', 'the database answered nothing')
      const serverVersion = Number(facts.version)
      const check = await checksClient(control, serverVersion)
      const searchPath = JSON.parse(facts.path) as string[]
      return new PostgresClient(options, control, { searchPath, role: facts.role, serverVersion, check })
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
      openingOf(this.#options.place, mark, pinned(this.serverVersion, options), this.#options.ssl),
      signal,
    )
    connection.answerMs = (options.statementMs ?? STATEMENT_MS) + ANSWER_GRACE_MS
    try {
      if (this.#check && options.unpinned?.includes(CHECK) !== true) await checksClient(connection, this.serverVersion)
      const self = await prove(connection, mark)
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

  #marked(connection: Connection, self: Self, signal: AbortSignal): DbSession {
    // A statement that waits on the server does not see our abort: the server must be told.
    const end = (): void => {
      this.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1::int and backend_start = $2::timestamptz',
        [self.pid, self.backend_start],
      ).catch(() => undefined)
    }
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    let closing = false
    const lost = new Promise<string>((resolve) => {
      void connection.gone.then((error) => {
        if (!closing)
          resolve(
            messageOf(error)
              .replaceAll(/\p{Cc}/gu, ' ')
              .slice(0, 300),
          )
      })
    })
    return {
      pid: self.pid,
      backendStart: self.backend_start,
      lost,
      query: (sql, params) => connection.query(sql, params),
      async copyIn(sql, chunks) {
        const stream = connection.client.query(copyFrom(sql))
        await pipeline(Readable.from(chunks), stream)
        return stream.rowCount
      },
      async close() {
        closing = true
        signal.removeEventListener('abort', end)
        await connection.close()
      },
    }
  }

  async marked(mark: string): Promise<{ pid: string; backend_start: string | null }[]> {
    return this.query(
      `select a.pid::text, a.backend_start::text from pg_stat_activity a where a.application_name = $1 and ${OWN_SESSION}`,
      [mark],
    )
  }

  /** Lets the control be shown to be ours. Not before a pooler is refused: there the lock would stay in a session of others. */
  async showOurs(): Promise<void> {
    await this.#exclusive(async () => {
      await prove(await this.#live())
      this.#proved = true
    })
  }

  /** A second connection that reads only, for plan. The caller closes it. */
  async openReader(): Promise<DbReader & { close(): Promise<void> }> {
    const { place, mark, ssl } = this.#options
    const settings = pinned(this.serverVersion, { readOnly: true, statementMs: 30_000 })
    const config = openingOf(place, mark, settings, ssl)
    const connection = await Connection.open(config, this.#options.signal)
    this.#readers.add(connection)
    // The server may give its number to another session of ours then.
    const close = async (): Promise<void> => {
      await connection.close()
      this.#readers.delete(connection)
    }
    try {
      if (this.#check) await checksClient(connection, this.serverVersion)
      await prove(connection)
    } catch (error) {
      await close()
      throw error
    }
    return {
      searchPath: this.searchPath,
      role: this.role,
      serverVersion: this.serverVersion,
      query: (sql, params) => connection.query(sql, params),
      close,
    }
  }

  /** Resolves with why, when the control connection of now has ended. */
  get gone(): Promise<Error> {
    return this.#control.gone
  }

  /** The server processes of our connections besides the control: readers, and other databases. */
  otherPids(): string[] {
    return [...this.#readers, ...this.#auxiliary.values()].map((connection) => connection.pid)
  }

  /** A further connection of the control's own, to another database of the same server; kept until close. */
  async auxiliary(database: string): Promise<Pick<Connection, 'query' | 'gone'>> {
    const known = this.#auxiliary.get(database)
    if (known && !known.lost) return known
    const place = { ...this.#options.place, database }
    const connection = await Connection.open(
      openingOf(place, this.#options.mark, pinned(this.serverVersion), this.#options.ssl),
      this.#options.signal,
    )
    this.#auxiliary.set(database, connection)
    if (this.#closed) await connection.close()
    await prove(connection)
    return connection
  }

  /**
   * Refuses a pooler that gives one server session to several clients: then neither a mark nor a lock would stay ours.
   * Two idle clients of such a pooler share a server process; two clients of a server never do.
   */
  async refusePooler(): Promise<void> {
    const other = await Connection.open(
      openingOf(this.#options.place, this.#options.mark, pinned(this.serverVersion), this.#options.ssl),
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
    this.#refuseClosed()
    if (this.#control.lost) {
      const control = await within(CONNECT_MS, (signal) =>
        openControl({ ...this.#options, signal }, this.serverVersion, []),
      )
      try {
        if (this.#check) await checksClient(control, this.serverVersion)
        if (this.#proved) await prove(control)
        await this.onReconnect((sql, params) => control.query(sql, params))
        this.#refuseClosed()
      } catch (error) {
        await control.close()
        throw error
      }
      this.#control = control
    }
    return this.#control
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TargetError('TARGET_UNREACHABLE', 'the connection to the database was closed')
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work)
    this.#queue = result.catch(() => undefined)
    return result
  }
}

/** Which settings there are to pin depends on the version, which the first connection tells without running a statement. */
async function openFirst(options: Reached): Promise<Connection> {
  const first = await openControl(options, 0, ['search_path'])
  if (first.majorVersion < 140_000) return first
  await first.close()
  return openControl(options, first.majorVersion, ['search_path'])
}

async function openControl(options: Reached, version: number, unpinned: readonly string[]): Promise<Connection> {
  const settings = pinned(version, { lockMs: 5_000, unpinned })
  return Connection.open(openingOf(options.place, options.mark, settings, options.ssl), options.signal)
}
