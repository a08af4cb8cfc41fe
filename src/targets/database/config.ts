/** Where a database is and how it is reached: the URL and the keys of a `target_config` as one. */
import { z } from 'zod'
import { isLocal, problemOfAuth } from './postgres/connect/auth.ts'
import type { AuthRules } from './postgres/connect/auth.ts'
import { SSL_MODES } from './postgres/connect/tls.ts'
import type { Tls } from './postgres/connect/tls.ts'
import { parseUrl } from './postgres/connect/url.ts'
import type { UrlParts } from './postgres/connect/url.ts'

/** Everything that a connection needs. */
export interface Place {
  /** A name, an address without brackets, or the folder of a Unix socket. */
  host: string
  port: number
  /** Absent: whom the driver takes, from PGUSER or the operating system. */
  user?: string
  password?: string
  database: string
  tls: Tls
  auth: AuthRules
  /** Of the startup packet, before ours. */
  options?: string
}

const text = z.string().min(1, { error: 'is empty: write a value, or remove the line' })
const port = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(/^\d{1,5}$/)
        .transform(Number),
    ],
    { error: 'must be a port from 1 to 65535' },
  )
  .refine((n) => n >= 1 && n <= 65_535, { error: 'must be a port from 1 to 65535' })

export const config = z
  .strictObject({
    connection_url: z.string().optional(),
    host: text.optional(),
    port: port.optional(),
    user: text.optional(),
    password: text.optional(),
    database: text.optional(),
    sslmode: z.enum(SSL_MODES).optional(),
    sslrootcert: text.optional(),
    sslcert: text.optional(),
    sslkey: text.optional(),
    require_auth: text.optional(),
    allow_cleartext: z.boolean().optional(),
    db_type: z
      .literal('postgres', {
        error: ({ input }) =>
          input === 'mysql'
            ? 'mysql is on the roadmap, but not available in this version: only postgres is'
            : 'only postgres is available in this version',
      })
      .default('postgres'),
    schemas: z.array(z.string().min(1)).default([]),
  })
  .superRefine((value, ctx) => {
    for (const [key, message] of problemsOf(value)) ctx.addIssue({ code: 'custom', path: [key], message })
  })

export type DatabaseConfig = z.output<typeof config>

/** The keys that a URL can say too. */
const OF_URL = [
  'host',
  'port',
  'user',
  'password',
  'database',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'require_auth',
] as const

type Given = Partial<Record<(typeof OF_URL)[number] | 'connection_url', string | number | undefined>>

function problemsOf(given: Given): [string, string][] {
  const required = given.require_auth === undefined ? undefined : problemOfAuth(String(given.require_auth))
  if (required !== undefined) return [['require_auth', required]]
  const { connection_url: url } = given
  if (url === undefined) {
    if (OF_URL.every((key) => given[key] === undefined))
      return [
        [
          'connection_url',
          'is missing: add connection_url: postgres://user@host:5432/database, or host: and database:',
        ],
      ]
    if (given.database === undefined && given.user === undefined)
      return [['database', 'is missing: add database: and the name of one']]
    return given.host?.toString().includes(',') === true
      ? [['host', 'names several hosts, but a run breaks one system: name the one that is meant']]
      : []
  }
  const read = parseUrl(String(url))
  if (read.problem !== undefined) return [['connection_url', read.problem]]
  const { options, ...parts } = read.parts
  const said: Given = { ...options, ...parts }
  const twice = OF_URL.filter((key) => given[key] !== undefined && said[key] !== undefined && given[key] !== said[key])
  const problems = twice.map((key): [string, string] => [
    key,
    'is in connection_url too, and something else there: write it in one place',
  ])
  if ((given.database ?? said.database ?? given.user ?? said.user) === undefined)
    problems.push(['connection_url', 'names no database: write postgres://user@host:5432/database'])
  const { sslmode } = options
  if (sslmode !== undefined && sslmode !== 'no-verify' && !(SSL_MODES as readonly string[]).includes(sslmode))
    problems.push(['connection_url', `has a sslmode that is none: write one of ${SSL_MODES.join(', ')}`])
  const asked = options['require_auth'] === undefined ? undefined : problemOfAuth(options['require_auth'])
  if (asked !== undefined) problems.push(['connection_url', `has a require_auth that ${asked}`])
  return problems
}

/** What `validate` says of a place that is reached over a network without knowing who answers. */
export function warningsOf(config: DatabaseConfig, env: NodeJS.ProcessEnv): string[] {
  const { host, tls } = placeOf(config)
  const mode = tls.rootcert === 'system' ? 'verify-full' : (tls.mode ?? env['PGSSLMODE'] ?? 'allow')
  if (isLocal(host) || mode === 'verify-full') return []
  return [
    `reaches ${host} with sslmode ${mode}: anybody who answers at that address is taken for the database; write sslmode: verify-full`,
  ]
}

/** Of a configuration that the schema has accepted. */
export function placeOf(config: Omit<Partial<DatabaseConfig>, 'db_type' | 'schemas'>): Place {
  const read = config.connection_url === undefined ? undefined : parseUrl(config.connection_url)
  if (read?.problem !== undefined) throw new TypeError(`the connection URL ${read.problem}`)
  const { options, ...said }: UrlParts = read?.parts ?? { options: {} }
  const required = config.require_auth ?? options['require_auth']
  const user = config.user ?? said.user
  const password = config.password ?? said.password
  const tls = {
    mode: config.sslmode ?? options['sslmode'] ?? MODES_OF_SSL[options['ssl'] ?? ''],
    rootcert: config.sslrootcert ?? options['sslrootcert'],
    cert: config.sslcert ?? options['sslcert'],
    key: config.sslkey ?? options['sslkey'],
    negotiation: options['sslnegotiation'],
  }
  return {
    host: config.host ?? said.host ?? 'localhost',
    port: config.port ?? said.port ?? 5432,
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    // As in libpq, the user's name where there is none.
    database: config.database ?? said.database ?? user ?? '',
    auth: {
      ...(required === undefined ? {} : { require: required }),
      ...(config.allow_cleartext === undefined ? {} : { allowCleartext: config.allow_cleartext }),
    },
    tls: Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined)),
    ...(options['options'] === undefined ? {} : { options: options['options'] }),
  }
}

/** What other drivers write instead of sslmode. */
const MODES_OF_SSL: Record<string, string> = {
  ...{ true: 'verify-full', '1': 'verify-full', false: 'disable', '0': 'disable', 'no-verify': 'no-verify' },
}

/** `postgres://host:port/database`, or with the folder of the socket behind it. Without credentials. */
export function placeName({ host, port, database }: Pick<Place, 'host' | 'port' | 'database'>): string {
  if (host.startsWith('/')) return `postgres:///${database}?host=${host}&port=${port}`
  return `postgres://${bracketed(host)}:${port}/${database}`
}

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

/** For psql, without the password. */
export function psqlUrl({ host, port, user, database, tls }: Place): string {
  const query = new URLSearchParams()
  if (host.startsWith('/')) query.set('host', host)
  if (host.startsWith('/')) query.set('port', String(port))
  if (tls.mode !== undefined) query.set('sslmode', tls.mode === 'no-verify' ? 'require' : tls.mode)
  for (const key of ['rootcert', 'cert', 'key'] as const) if (tls[key] !== undefined) query.set(`ssl${key}`, tls[key])
  const place = host.startsWith('/') ? '' : `${bracketed(host)}:${port}`
  const asked = query.size === 0 ? '' : `?${query.toString().replaceAll('+', '%20')}`
  return `postgres://${user === undefined ? '' : `${encodeURIComponent(user)}@`}${place}/${encodeURIComponent(database)}${asked}`
}
