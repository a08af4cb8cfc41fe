/** The application's ear: a small HTTP server for the daemon's worker. Loaded only when the application connects. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync, readlinkSync, unlinkSync } from 'node:fs'
import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, ListenOptions } from 'node:net'
import type { Chaos } from '../chaos.ts'
import type { ChaosConnection, ConnectOptions } from './connection.ts'
import { LeaseBook, RefusedRequest } from './lease-book.ts'
import { isLoopback, notForUs } from './own-names.ts'
import { ownerOf } from './owner.ts'
import { LONGEST_BODY, PROTOCOL } from './protocol.ts'
import type { EndAll, Grant, Hello, Keyed, RefusalCode } from './protocol.ts'

/** A slow or greedy client gets little: the worker asks for one short thing at a time. */
const LIMITS = {
  maxHeaderSize: 8 * 1024,
  requestTimeout: 5_000,
  headersTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
}
const CONNECTIONS = 64

const STATUS: Record<RefusalCode, number> = {
  bad_request: 400,
  foreign: 403,
  token: 401,
  not_found: 404,
  unknown: 404,
  disabled: 409,
  ended: 409,
  held: 409,
}

/** The options have been checked. */
export async function listen(chaos: Chaos, options: ConnectOptions): Promise<ChaosConnection> {
  const book = new LeaseBook(chaos, ownerOf)
  const hello = helloOf(chaos, options.app)
  const allowed = options.http ? tokenCheck(options.http.token) : () => true
  const at = options.http === undefined ? undefined : (options.http.host ?? '127.0.0.1')
  const meant = (request: IncomingMessage): string | undefined =>
    at !== undefined && isLoopback(at)
      ? notForUs(request, { host: at, port: request.socket.localPort ?? 0 })
      : request.headers.origin === undefined
        ? undefined
        : 'it does not answer pages in a browser'
  const server = createServer(LIMITS, (request, response) => {
    void answer(request, allowed, meant, (path, body) => handle(path, body, book, hello)).then(({ status, body }) => {
      const text = JSON.stringify(body)
      send(response, status, text)
    })
  })
  server.maxConnections = CONNECTIONS
  // Neither the server nor who talks to it keeps the application alive.
  server.on('connection', (socket) => socket.unref())
  server.unref()
  const remove = options.socket === undefined ? () => undefined : await openSocket(server, options.socket)
  if (options.http) await opened(server, { host: options.http.host ?? '127.0.0.1', port: options.http.port })
  server.on('error', () => undefined)
  return {
    address: options.socket ?? urlOf(server.address() as AddressInfo),
    instance: chaos.instance,
    async close() {
      remove()
      // Who finds nobody listening may conclude that our faults are gone.
      book.endEverything()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

function handle(path: string, body: unknown, book: LeaseBook, hello: () => Hello): object {
  switch (path) {
    case `GET /v${PROTOCOL}/hello`:
      return hello()
    case `GET /v${PROTOCOL}/leases`:
      return book.leases()
    case `POST /v${PROTOCOL}/leases`:
      return book.grant(body as Grant)
    case `POST /v${PROTOCOL}/renew`:
      return book.renew(body as Keyed)
    case `POST /v${PROTOCOL}/end`:
      return book.end(body as Keyed | EndAll)
    default:
      throw new RefusedRequest('not_found', `there is no ${path}: this application speaks version ${PROTOCOL}`)
  }
}

type Handler = (path: string, body: unknown) => object

async function answer(
  request: IncomingMessage,
  allowed: (header: string | undefined) => boolean,
  meant: (request: IncomingMessage) => string | undefined,
  handler: Handler,
) {
  try {
    const foreign = meant(request)
    if (foreign !== undefined) throw new RefusedRequest('foreign', foreign)
    if (!allowed(request.headers.authorization))
      throw new RefusedRequest('token', 'this needs the header "Authorization: Bearer <token>" with the right token')
    const body = await bodyOf(request)
    return { status: 200, body: handler(`${request.method ?? ''} ${request.url ?? ''}`, body) }
  } catch (error) {
    if (!(error instanceof RefusedRequest))
      return { status: 500, body: { error: 'bad_request', message: String(error) } }
    return { status: STATUS[error.code], body: { error: error.code, message: error.message } }
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  if (request.method === 'GET') return undefined
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > LONGEST_BODY) throw new RefusedRequest('bad_request', `a request has at most ${LONGEST_BODY} bytes`)
    chunks.push(chunk)
  }
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
    if (typeof body === 'object' && body !== null) return body
  } catch {
    // said below
  }
  throw new RefusedRequest('bad_request', 'a request is one JSON object')
}

function send(response: ServerResponse, status: number, text: string): void {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', connection: 'close' }
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) }).end(text)
}

/** Compared as hashes: the time it takes says nothing about the token, nor about its length. */
function tokenCheck(token: string): (header: string | undefined) => boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const wanted = hash(`Bearer ${token}`)
  return (header = '') => timingSafeEqual(hash(header), wanted)
}

function helloOf(chaos: Chaos, app: string): () => Hello {
  const started_at = new Date(performance.timeOrigin).toISOString()
  const who = { protocol: PROTOCOL, app, instance: chaos.instance, pid: process.pid, started_at, process: ourselves() }
  return () =>
    ({ ...who, owners: true, components: chaos.calls(), ...(chaos.openEnded && { open_ended: true }) }) as Hello
}

/** On Linux: which kernel and which of its pid spaces, and when the process started there. */
function ourselves(): Hello['process'] {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return { machine: `${boot}/${readlinkSync('/proc/self/ns/pid')}`, start: fields[19] ?? '' }
  } catch {
    return null
  }
}

/** Only its owner may connect. What lies there from a process that died is replaced; a living one is not. */
async function openSocket(server: Server, path: string): Promise<() => void> {
  if (await isListened(path)) throw new Error(`cannot listen on ${path}: another process does; give each its own path`)
  const there = await lstat(path).catch(() => undefined)
  if (there && !there.isSocket()) throw new Error(`cannot listen on ${path}: it is there already, and is no socket`)
  if (there) await unlink(path)
  await masked(() => opened(server, { path }))
  await chmod(path, 0o600)
  const remove = () => {
    try {
      unlinkSync(path)
    } catch {
      // gone already
    }
  }
  process.once('exit', remove)
  return () => {
    process.off('exit', remove)
    remove()
  }
}

function isListened(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** The path is bound within the call: nothing else is made under this mask. A worker thread cannot set one. */
function masked<T>(bind: () => T): T {
  let before: number | undefined
  try {
    before = process.umask(0o177)
  } catch {
    // then the mode is set a moment later
  }
  try {
    return bind()
  } finally {
    if (before !== undefined) process.umask(before)
  }
}

function opened(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const at = where.path ?? `${where.host ?? ''}:${where.port ?? ''}`
    server.once('error', (error) => reject(new Error(`cannot listen on ${at}: ${error.message}`, { cause: error })))
    server.listen(where, () => {
      server.removeAllListeners('error')
      resolve()
    })
  })
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}
