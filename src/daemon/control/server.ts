/**
 * The control socket: how commands talk to a running daemon. A unix socket that only its owner can open; one request and
 * one answer per connection, each a line of JSON. Its path stands in `<state>/daemon.json`.
 */
import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CodedError, ConfigError, messageOf } from '../../core/errors.ts'
import { fields, flag, number, object, optional, text as string, time } from '../../journal/shape.ts'
import type { Shape } from '../../journal/shape.ts'
import { ACCEPTED, GO, WORKING } from './messages.ts'
import type { Answer, Request } from './messages.ts'

export interface ControlServer {
  readonly path: string
  close(): Promise<void>
}

/** sun_path has 108 bytes on Linux, 104 elsewhere. */
const LONGEST_PATH = 100
const LONGEST_REQUEST = 1 << 20
/** A client that says nothing must not keep a connection for ever. */
const REQUEST_MS = 5_000
const BEAT_MS = 2_000

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
  const late = setTimeout(() => socket.destroy(), REQUEST_MS)
  const next = linesOf(socket)
  let answer: Answer
  let beat: ReturnType<typeof setInterval> | undefined
  try {
    const said = JSON.parse(await next()) as unknown
    const request = requestOf(said)
    if ((Object(said) as { confirm?: unknown }).confirm === true) {
      // We may have been stopped since it was sent: only who still waits gets what it asked for.
      socket.write(ACCEPTED)
      if (`${await next().catch(() => '')}\n` !== GO) {
        socket.destroy()
        return
      }
      beat = setInterval(() => socket.write(WORKING), BEAT_MS)
    }
    clearTimeout(late)
    answer = { ok: true, result: (await handle(request)) ?? null }
  } catch (error) {
    answer = refusal(error)
  } finally {
    clearTimeout(late)
    clearInterval(beat)
  }
  if (!socket.destroyed) socket.end(`${JSON.stringify(answer)}\n`)
}

/** By their `op`; one that is not known is left to whoever answers, who says what that means. */
const REQUESTS: Record<Request['op'], Shape> = {
  status: object,
  stop: object,
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

/** Each call is the next line; it rejects when there will be none. */
function linesOf(socket: Socket): () => Promise<string> {
  const lines: string[] = []
  let text = ''
  let over: CodedError | undefined
  let wake = (): void => undefined
  const end = (why: string): void => {
    over ??= new CodedError('USAGE', why)
    wake()
  }
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    const [rest = '', ...whole] = (text + chunk).split('\n').reverse()
    text = rest
    lines.push(...whole.reverse())
    if (text.length > LONGEST_REQUEST) end('the request is too long')
    wake()
  })
  socket.on('end', () => end('the request ended before its line did'))
  socket.on('close', () => end('the connection was closed'))
  return async () => {
    for (;;) {
      const line = lines.shift()
      if (line !== undefined) return line
      if (over) throw over
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
}
