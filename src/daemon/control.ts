/**
 * The control socket: how commands talk to a running daemon. A unix socket that only its owner can open; one request and
 * one answer per connection, each a line of JSON. Its path stands in `<state>/daemon.json`.
 */
import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CodedError, ConfigError, messageOf } from '../core/errors.ts'
import type { ConfigProblem, ErrorCode } from '../core/errors.ts'
import type { HandOver } from '../engine/recover.ts'
import { fields, flag, number, object, optional, text as string, time } from '../journal/shape.ts'
import type { Shape } from '../journal/shape.ts'
import { isAlive, readHolder } from './lock.ts'

/** What can be asked for, and with what. Times in milliseconds. */
export type Request =
  | { op: 'status' }
  | { op: 'abort'; run: string; reason: string }
  | { op: 'run-now'; experiment: string; wait: boolean }
  | { op: 'reload' }
  | { op: 'freeze'; reason: string; for_ms?: number }
  | { op: 'unfreeze' }
  | { op: 'disable'; experiment: string; until?: string }
  | { op: 'enable'; experiment: string }
  | { op: 'trust'; experiment?: string }
  | { op: 'recover'; run?: string; hand_over?: HandOver; accept_loss?: { note: string } }

type Answer =
  { ok: true; result: unknown } | { ok: false; code: ErrorCode; message: string; problems?: readonly ConfigProblem[] }

export interface ControlServer {
  readonly path: string
  close(): Promise<void>
}

/** sun_path has 108 bytes on Linux, 104 elsewhere. */
const LONGEST_PATH = 100
const LONGEST_REQUEST = 1 << 20
/** A client that says nothing must not keep a connection for ever. */
const REQUEST_MS = 5_000

export interface ControlPlaces {
  stateDir: string
  install: string
  env: NodeJS.ProcessEnv
}

/** In the runtime folder where there is one, else in the state folder, else (its path being too long) in one of our own. */
export async function* controlPaths({ stateDir, install, env }: ControlPlaces): AsyncGenerator<string> {
  const [service] = (env['RUNTIME_DIRECTORY'] ?? '').split(':')
  const candidates = [
    service ? join(service, 'control.sock') : '',
    env['XDG_RUNTIME_DIR'] ? join(env['XDG_RUNTIME_DIR'], `chaos-${install}.sock`) : '',
    join(stateDir, 'control.sock'),
  ]
  for (const path of candidates) if (path !== '' && Buffer.byteLength(path) <= LONGEST_PATH) yield path
  yield join(await ownFolder(join(tmpdir(), `chaos-${install}`)), 'control.sock')
}

/** At the first place where it can listen; `warn` is told of those where it cannot. Throws CONTROL_SOCKET where none is left. */
export async function serveControlIn(
  places: ControlPlaces,
  handle: (request: Request) => Promise<unknown>,
  warn: (message: string) => void,
): Promise<ControlServer> {
  const failures: string[] = []
  try {
    for await (const path of controlPaths(places)) {
      const server = await serveControl(path, handle).catch((error: unknown) => void failures.push(messageOf(error)))
      if (!server) continue
      for (const failure of failures) warn(`${failure}; it listens on ${path}`)
      return server
    }
  } catch (error) {
    failures.push(messageOf(error))
  }
  throw new CodedError('CONTROL_SOCKET', failures.join('; '))
}

/** Anybody may have made a folder of that name there before. */
async function ownFolder(folder: string): Promise<string> {
  await mkdir(folder, { mode: 0o700 }).catch(() => undefined)
  const found = await lstat(folder).catch(() => undefined)
  const ours = found?.isDirectory() === true && found.uid === process.getuid?.() && (found.mode & 0o077) === 0
  if (ours) return folder
  return mkdtemp(`${folder}-`).catch((error: unknown) => {
    throw new CodedError('CONTROL_SOCKET', `no folder for the control socket can be made: ${messageOf(error)}`, {
      cause: error,
    })
  })
}

/** Whoever holds the state folder's lock may take the path: what lies there is of a daemon that is gone. */
export async function serveControl(
  path: string,
  handle: (request: Request) => Promise<unknown>,
): Promise<ControlServer> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    void converse(socket, handle)
  })
  try {
    await rm(path, { force: true })
    await listen(server, path)
  } catch (error) {
    throw new CodedError('CONTROL_SOCKET', `cannot listen on ${path}: ${messageOf(error)}`, { cause: error })
  }
  return {
    path,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        // Answers that are on their way are let out; whoever still waits learns that the daemon is gone.
        setTimeout(() => open.forEach((socket) => socket.destroy()), 200).unref()
      })
      await rm(path, { force: true }).catch(() => undefined)
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The path is bound within this call: nothing else is made under this mask.
    const umask = process.umask(0o177)
    server.listen(path, () => {
      server.off('error', reject)
      server.on('error', () => undefined)
      resolve()
    })
    process.umask(umask)
  })
}

async function converse(socket: Socket, handle: (request: Request) => Promise<unknown>): Promise<void> {
  socket.on('error', () => socket.destroy())
  socket.setTimeout(REQUEST_MS, () => socket.destroy())
  let answer: Answer
  try {
    const request = requestOf(JSON.parse(await firstLine(socket)))
    socket.setTimeout(0)
    answer = { ok: true, result: (await handle(request)) ?? null }
  } catch (error) {
    answer = refusal(error)
  }
  if (!socket.destroyed) socket.end(`${JSON.stringify(answer)}\n`)
}

/** By their `op`; one that is not known is left to whoever answers, who says what that means. */
const REQUESTS: Record<Request['op'], Shape> = {
  status: object,
  abort: fields({ run: string, reason: string }),
  'run-now': fields({ experiment: string, wait: flag }),
  reload: object,
  freeze: fields({ reason: string, for_ms: optional(number) }),
  unfreeze: object,
  disable: fields({ experiment: string, until: optional(time) }),
  enable: fields({ experiment: string }),
  trust: fields({ experiment: optional(string) }),
  recover: fields({
    ...{ run: optional(string), hand_over: optional(object), accept_loss: optional(fields({ note: string })) },
  }),
}

function requestOf(value: unknown): Request {
  const { op } = Object(value) as { op?: unknown }
  const shape = typeof op === 'string' && Object.hasOwn(REQUESTS, op) ? REQUESTS[op as Request['op']] : object
  if (shape(value)) return value as Request
  throw new CodedError('USAGE', `the request is not of the form of this version: ${String(op)}`)
}

function refusal(error: unknown): Answer {
  const code = error instanceof CodedError ? error.code : 'USAGE'
  const problems = error instanceof ConfigError ? { problems: error.problems } : {}
  return { ok: false, code, message: messageOf(error), ...problems }
}

function firstLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end >= 0) resolve(text.slice(0, end))
      else if (text.length > LONGEST_REQUEST) reject(new CodedError('USAGE', 'the request is too long'))
    })
    socket.on('end', () => reject(new CodedError('USAGE', 'the request ended before its line did')))
    socket.on('close', () => reject(new CodedError('USAGE', 'the connection was closed')))
  })
}

/**
 * Asks the daemon of a state folder, and waits for as long as it takes. Throws NO_DAEMON when none is up, or the error
 * that the daemon answered with.
 */
export async function askDaemon(
  stateDir: string,
  request: Request,
  options: { timeoutMs?: number } = {},
): Promise<unknown> {
  const holder = await readHolder(stateDir)
  if (holder?.control === undefined || !(await isAlive(holder)))
    throw new CodedError('NO_DAEMON', `no daemon is up on ${stateDir}; chaos daemon CONFIG starts one`)
  const { control } = holder
  const text = await new Promise<string>((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new CodedError('NO_DAEMON', `the daemon (pid ${holder.pid}) does not answer on ${control}: ${why}`))
    const socket = connect(control)
    let received = ''
    socket.setEncoding('utf8')
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`))
    socket.on('data', (chunk: string) => (received += chunk))
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => (received.endsWith('\n') ? resolve(received) : fail('it closed the connection')))
    if (options.timeoutMs !== undefined) {
      socket.setTimeout(options.timeoutMs, () => {
        fail('it took too long')
        socket.destroy()
      })
    }
  })
  const answer = JSON.parse(text) as Answer
  if (answer.ok) return answer.result
  if (answer.problems)
    throw new ConfigError(answer.problems, answer.code === 'CONFIG_NOT_ON_TARGET' ? answer.code : 'CONFIG_INVALID')
  throw new CodedError(answer.code, answer.message)
}
