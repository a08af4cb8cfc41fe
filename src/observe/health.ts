/**
 * The HTTP endpoint for watchers: `/healthz`, `/readyz`, `/metrics`, `/status`. It only ever answers questions, listens on
 * loopback unless there is a token, and is loaded only when `settings.health_bind` is set.
 */
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import type { Context } from 'hono'
import { ConfigError, messageOf } from '../core/errors.ts'
import type { HealthSettings } from '../core/experiment.ts'
import { boundedData, jsonLine } from '../core/foreign.ts'
import { isSameToken } from '../core/same-token.ts'
import type { DaemonStatus } from '../core/status.ts'
import { atMost } from '../core/within.ts'
import type { Metrics } from './metrics/index.ts'
import { notReady } from './ready.ts'

export interface HealthOptions extends HealthSettings {
  /** Undefined as long as the daemon is not up. */
  status(): DaemonStatus | undefined
  metrics: Pick<Metrics, 'text' | 'contentType'>
  /** Rejects when nothing can be written to the journal's disk. */
  canWrite(): Promise<void>
}

export interface Health {
  host: string
  port: number
  /** Resolves when nothing listens any more; who has an answer coming gets it, but not for long. */
  close(): Promise<void>
}

/** How long an answer that is being given may hold up the end of the daemon. */
const CLOSE_MS = 1_000

/** Slow and greedy clients get little: whoever watches asks for one short thing at a time. */
const LIMITS = {
  maxHeaderSize: 8 * 1_024,
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}
const IDLE_MS = 10_000
const CONNECTIONS = 64

/** Rejects with a ConfigError when it cannot listen there. */
export async function startHealth(options: HealthOptions): Promise<Health> {
  const server = createAdaptorServer({ fetch: healthApp(options).fetch, serverOptions: LIMITS }) as Server
  server.maxConnections = CONNECTIONS
  server.setTimeout(IDLE_MS)
  const { host, port } = await listen(server, options)
  return { host, port, close: () => close(server) }
}

/** The answers, without a server around them. */
export function healthApp({ status, metrics, canWrite, token, host }: Omit<HealthOptions, 'port'>): Hono {
  const app = new Hono()
  app.use(async (c, next) => {
    c.header('Cache-Control', 'no-store')
    c.header('X-Content-Type-Options', 'nosniff')
    if (token === undefined && c.req.path !== '/healthz' && !isOwnName(c.req.header('Host'), host)) {
      c.res = c.json({ error: 'without a token this answers for localhost, 127.0.0.1 and [::1] only' }, 403)
      return
    }
    // Whether the process is alive is no secret, and what restarts it often cannot send a token.
    if (c.req.path === '/healthz' || token === undefined || hasToken(c.req.header('Authorization'), token)) await next()
    else {
      c.header('WWW-Authenticate', 'Bearer')
      c.res = c.json({ error: 'this needs the header "Authorization: Bearer <settings.health_token>"' }, 401)
    }
  })
  // That there is an answer is the answer: the loop that starts and ends runs is the one that gives it.
  app.get('/healthz', (c) => c.json({ alive: true }))
  app.get('/readyz', async (c) => {
    const reasons = await notReady(status(), canWrite)
    return told(c, { ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503)
  })
  app.get('/metrics', async (c) => {
    const text = await metrics.text(status())
    return c.body(text, 200, { 'Content-Type': metrics.contentType })
  })
  app.get('/status', (c) => {
    const now = status()
    return now ? told(c, now, 200) : c.json({ error: 'the daemon is not up yet' }, 503)
  })
  for (const { path } of [...app.routes].filter((route) => route.method === 'GET')) app.all(path, notAllowed)
  app.notFound((c) => c.json({ error: 'there are /healthz, /readyz, /metrics and /status' }, 404))
  app.onError((_error, c) => c.json({ error: 'this could not be answered' }, 500))
  return app
}

/** Others' texts are in it, and somebody looks at it on a terminal. */
function told(c: Context, value: unknown, code: 200 | 503): Response {
  return c.body(jsonLine(boundedData(value)), code, { 'Content-Type': 'application/json' })
}

/** A page in a browser that reaches us under its own name (DNS rebinding) is not whom this is for. */
function isOwnName(given: string | undefined, host: string): boolean {
  const name = (given ?? '').replace(/:\d{1,5}$/, '').toLowerCase()
  return ['localhost', '127.0.0.1', '[::1]', host.includes(':') ? `[${host}]` : host].includes(name)
}

function notAllowed(c: Context): Response {
  return c.json({ error: 'nothing can be changed here: use GET or HEAD' }, 405, { Allow: 'GET, HEAD' })
}

function hasToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1]
  return given !== undefined && isSameToken(given, token)
}

function listen(server: Server, { host, port }: HealthSettings): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(host, port, error)))
    server.listen({ host, port }, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? { host: address.address, port: address.port } : { host, port })
    })
  })
}

function cannotListen(host: string, port: number, error: Error): ConfigError {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const code = 'code' in error ? String(error.code) : ''
  const why: Record<string, string> = {
    EADDRINUSE: 'another process listens there: write another port, or end that one',
    EACCES: 'this user may not listen there: write a port above 1023',
    EADDRNOTAVAIL: 'this machine does not have that address: write one of its own, or 127.0.0.1',
  }
  const message = `cannot listen on ${where}: ${why[code] ?? messageOf(error)}`
  return new ConfigError([{ file: '', line: 0, column: 0, path: 'settings.health_bind', message }])
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  await atMost(
    CLOSE_MS,
    () => closed,
    () => server.closeAllConnections(),
  )
  await closed
}
