/** One connection to PostgreSQL: with pinned settings and our mark, its death made visible, its silence bounded. */
import './runtime.ts'
import pg from 'pg'
import { messageOf, RefusedError, TargetError } from '../../../../core/errors.ts'
import { guardAuth } from './auth.ts'
import type { AuthRules } from './auth.ts'
import { Bounds, cut } from './bounds.ts'
import type { Place } from '../../config.ts'
import { attempts, codeOf, mayRetry, tlsAdvice } from './tls.ts'
import type { Ssl } from './tls.ts'
import type { Row, SessionOptions } from '../../client.ts'
import { TEXT_FORM } from '../text-form.ts'

/** Longest statement, unless a session asks for another limit. */
export const STATEMENT_MS = 60_000
/** How much later than its own timeout a server may answer. */
export const ANSWER_GRACE_MS = 15_000
export const CONNECT_MS = 10_000

/** Values come back as the server's text, so that before-images are exact (int8, numeric, infinity, bytea …). */
const TEXT_TYPES = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig

/**
 * Settings every connection of ours pins, so that neither the role's defaults nor a fault in place changes what the undo
 * reads and writes. They travel in the startup packet: a chaos `statement_timeout` cannot hit before they hold.
 */
export function pinned(version: number, options: SessionOptions & { readOnly?: boolean } = {}): Record<string, string> {
  const settings: Record<string, string> = {
    statement_timeout: String(options.statementMs ?? STATEMENT_MS),
    lock_timeout: String(options.lockMs ?? 10_000),
    idle_in_transaction_session_timeout: String(options.idleInTransactionMs ?? 60_000),
    default_transaction_read_only: options.readOnly ? 'on' : 'off',
    default_transaction_isolation: 'read\\ committed',
    default_transaction_deferrable: 'off',
    ...TEXT_FORM,
    // CHECKs of partitions are evaluated in part where they may rule a partition out.
    constraint_exclusion: 'off',
    // Anybody may have put a function or an operator that suits better than the server's into another schema.
    search_path: 'pg_catalog,pg_temp',
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

/** What one connection is opened with, each way that it may be tried. */
export interface Opening {
  config: pg.ClientConfig
  auth: AuthRules
  /** Tried one after the other; the way that worked comes first the next time. */
  ssl: Ssl[]
}

/** Throws ConfigError where a file that TLS needs cannot be read. */
export function openingOf(place: Place, mark: string, settings: Record<string, string>, ssl?: Ssl[]): Opening {
  const ours = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`)
  const { negotiation } = place.tls
  const config: pg.ClientConfig = {
    host: place.host,
    port: place.port,
    ...(place.user === undefined ? {} : { user: place.user }),
    ...(place.password === undefined ? {} : { password: place.password }),
    database: place.database,
    ...(negotiation === 'direct' ? { sslnegotiation: negotiation } : {}),
    application_name: mark,
    options: [...(place.options === undefined ? [] : [place.options]), ...ours].join(' '),
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
  }
  return { config, auth: place.auth, ssl: ssl ?? attempts(place.tls, place.host, process.env) }
}

/** One connected client, its own death made visible instead of crashing the process. */
export class Connection {
  readonly client: pg.Client
  /** What the server calls itself while it lets us in, before any statement: 150000 for every 15.x; 0 when it does not say. */
  majorVersion = 0
  /** How long a statement may stay without an answer, milliseconds. */
  answerMs = STATEMENT_MS + ANSWER_GRACE_MS
  /** Resolves with the first error, when the connection ends. */
  readonly gone: Promise<Error>
  #lost: Error | undefined
  readonly #bounds: Bounds
  private constructor(client: pg.Client, tls: boolean) {
    this.client = client
    this.#bounds = new Bounds(client, tls, (error) => {
      this.#lost ??= error
      this.#socket?.destroy()
    })
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter }
    connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterName === 'server_version') this.majorVersion = (parseInt(status.parameterValue) || 0) * 10_000
    })
    this.gone = new Promise((resolve) => {
      const end = (error: Error): void => resolve((this.#lost ??= error))
      client.on('error', end)
      client.on('end', () => end(new Error('the server closed the connection')))
    })
  }

  static async open({ config, auth, ssl }: Opening, signal: AbortSignal): Promise<Connection> {
    let first: unknown
    for (const way of [...ssl]) {
      try {
        const connection = await Connection.#open({ ...config, ssl: way }, auth, signal)
        // What worked once is what the next connection begins with.
        ssl.splice(0, ssl.length, way, ...ssl.filter((other) => other !== way))
        return connection
      } catch (error) {
        signal.throwIfAborted()
        // Where nothing works, what the preferred way said is the reason.
        first ??= error
        if (!mayRetry(error)) break
      }
    }
    throw connectError(first, config)
  }

  static async #open(config: pg.ClientConfig, auth: AuthRules, signal: AbortSignal): Promise<Connection> {
    signal.throwIfAborted()
    const tls = config.ssl !== undefined && config.ssl !== false
    const client = new pg.Client({ ...config, ...(tls ? { enableChannelBinding: true } : {}) })
    guardAuth(client, auth)
    const connection = new Connection(client, tls)
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
      throw cut(connection.#lost ?? error)
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
    this.#bounds.begin()
    try {
      return (await this.client.query<R>({ text: sql, values: [...params], types: TEXT_TYPES })).rows
    } catch (error) {
      const lost = this.#lost as Error | undefined
      throw cut(lost ?? error)
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

function connectError(error: unknown, { host = '' }: pg.ClientConfig): Error {
  if (error instanceof TargetError) return error
  const message = messageOf(error)
  if (/unsupported startup parameter/i.test(message)) {
    return new RefusedError(
      'REFUSED_POOLER',
      `a connection pooler stands between us and the database (${message}); connect to the server itself`,
      { cause: error },
    )
  }
  const said = (code: 'TARGET_PRIVILEGE' | 'TARGET_UNREACHABLE', text: string): TargetError =>
    new TargetError(code, text, { cause: error })
  if (codeOf(error) === '53300')
    return said(
      'TARGET_UNREACHABLE',
      `the database has no connection left for us: ${message}; a run needs 3 at once, 1 more with db.config_change, and 1 for each session that holds locks`,
    )
  if (/^28/.test(codeOf(error))) return said('TARGET_PRIVILEGE', `the database refuses the login: ${message}`)
  // The driver's own words for a server that asks for a password.
  if (/client password must be a (?:non-empty )?string/.test(message))
    return new TargetError(
      'TARGET_PRIVILEGE',
      'the database asks for a password and none is given: add password: to target_config',
    )
  const advice = tlsAdvice(error)
  if (advice !== undefined) return new TargetError('TARGET_UNREACHABLE', `cannot connect to the database: ${advice}`)
  if (host.startsWith('/') && codeOf(error) === 'ENOENT')
    return said(
      'TARGET_UNREACHABLE',
      `cannot connect to the database: no server listens on a socket in ${host} (${message})`,
    )
  return said('TARGET_UNREACHABLE', `cannot connect to the database: ${message}`)
}
