/** A private PostgreSQL server of demo and tests, from given binaries: starts it, stops it, kills it. It ends with this process. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { cleanEnv, reachable, serverUser, temporaryFolder, type ServerUser } from './cache.ts'
import { fillDataFolder, giveTo, type Installation } from './data.ts'
import { freePort, LOOPBACK } from './port.ts'
import { startWatcher, type Watcher } from './watcher.ts'

export interface PostgresOptions {
  /** A free one unless given. */
  port?: number
  /** Where `data` and `log` go; data that is already there is used and kept. A temporary folder unless given. */
  dir?: string
  /** Leaves the folder when the server is stopped. */
  keep?: boolean
  /** Lines for postgresql.conf, which `ALTER SYSTEM` can override (as it cannot a command line). */
  settings?: Record<string, string>
  /** Off unless asked for: what is committed survives kill9(), but not a power cut. */
  fsync?: boolean
}

export interface Postgres {
  /** `postgres://user@host:port/database`; user and database are `postgres` and the host 127.0.0.1 unless given. */
  url(database?: string, user?: string, host?: string): string
  readonly port: number
  readonly dir: string
  readonly dataDir: string
  readonly logFile: string
  /** Of the postmaster; another one after restart(). */
  readonly pid: number
  /** Runs statements over a connection of its own and gives the rows of the last one. */
  sql(text: string, database?: string): Promise<Record<string, unknown>[]>
  /** Stops, then removes the folder unless it is kept. */
  stop(mode?: StopMode): Promise<void>
  /** Stops (if it runs) and starts on the same port and data. */
  restart(mode?: StopMode): Promise<void>
  /** SIGKILL to the postmaster and (where /proc names them) its backends. restart() brings it back. */
  kill9(): void
}

/** `fast` ends sessions and shuts down cleanly; `immediate` crashes on purpose, and the next start recovers. */
export type StopMode = 'fast' | 'immediate'

const SIGNAL = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const
/** Longest start, and longest clean stop. */
const PATIENCE_MS = 60_000
/** Longest wait for a port, and for the backends of a killed postmaster to be gone. */
const WAIT_MS = 3_000

export async function launchPostgres(installation: Installation, options: PostgresOptions = {}): Promise<Postgres> {
  if (process.platform === 'win32') throw new Error('the private PostgreSQL of demo and tests does not run on Windows')
  const user = serverUser()
  const ours = options.dir === undefined || (await mkdir(options.dir, { recursive: true })) !== undefined
  const dir = options.dir !== undefined ? resolve(options.dir) : await temporaryFolder()
  if (ours) await giveTo(user, dir)
  if (!reachable(dir, user))
    throw new Error(
      `${dir} is closed to the user whom PostgreSQL runs as (it refuses root): chmod a+x it and its parents`,
    )

  const [dataDir, logFile] = [join(dir, 'data'), join(dir, 'log')]
  const reused = statSync(dataDir, { throwIfNoEntry: false }) !== undefined
  const remove = options.keep !== true && !reused
  const watcher = startWatcher({ dataDir, logFile, remove, rmdir: remove && ours ? dir : '' })
  try {
    if (!reused) await fillDataFolder(installation, dataDir, user, settingsOf(options))
    const server = new Server({ binary: join(installation.bin, 'postgres'), dir, dataDir, logFile, user, watcher })
    await server.start(options.port)
    return server
  } catch (error) {
    await watcher.finish()
    throw error
  }
}

function settingsOf({ fsync, settings }: PostgresOptions): Record<string, string> {
  return {
    shared_buffers: '32MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    unix_socket_directories: '',
    // Where nothing is synced there are no torn pages to repair.
    ...(fsync === true ? {} : { fsync: 'off', full_page_writes: 'off' }),
    ...settings,
  }
}

interface Place {
  binary: string
  dir: string
  dataDir: string
  logFile: string
  user: ServerUser
  watcher: Watcher
}

class Server implements Postgres {
  readonly dir: string
  readonly dataDir: string
  readonly logFile: string
  port = 0
  pid = 0
  readonly #place: Place
  #process: ChildProcess | undefined
  #stopped: Promise<void> | undefined

  constructor(place: Place) {
    this.#place = place
    this.dir = place.dir
    this.dataDir = place.dataDir
    this.logFile = place.logFile
  }

  url(database = 'postgres', user = 'postgres', host = '127.0.0.1'): string {
    const name = host.includes(':') ? `[${host}]` : host
    return `postgres://${encodeURIComponent(user)}@${name}:${this.port}/${encodeURIComponent(database)}`
  }

  async sql(text: string, database?: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.url(database) })
    // Without a listener, a server that is killed meanwhile would take this process along.
    client.on('error', () => undefined)
    await client.connect()
    try {
      // Several statements give an array of results, against the types.
      const result: unknown = await client.query(text)
      const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Record<string, unknown>>
      return last.rows
    } finally {
      await client.end()
    }
  }

  /** A given port may be in somebody's way for a moment only (who looks for a free one tries it); instead of any other, the next is taken. */
  async start(port?: number): Promise<void> {
    const deadline = Date.now() + WAIT_MS
    for (;;) {
      this.port = port ?? (await freePort())
      const failure = await this.#tryStart()
      if (failure === undefined) return
      const passing = isPortTaken(failure) || failure.includes('pre-existing shared memory')
      if (!passing || Date.now() > deadline) throw new Error(`PostgreSQL does not start: ${failure}`)
      await sleep(50)
    }
  }

  stop(mode: StopMode = 'fast'): Promise<void> {
    this.#stopped ??= this.#end(mode).then(() => this.#place.watcher.finish())
    return this.#stopped
  }

  async restart(mode: StopMode = 'fast'): Promise<void> {
    await this.#end(mode)
    await this.start(this.port)
  }

  kill9(): void {
    // Left alone, a backend in the middle of a statement would finish it before it notices.
    if (this.#process === undefined || hasEnded(this.#process)) return
    for (const pid of [this.pid, ...childrenOf(this.pid)]) signal(pid, 'SIGKILL')
  }

  /** Undefined when the server is up, otherwise what it logged. */
  async #tryStart(): Promise<string | undefined> {
    const { binary, dataDir, logFile, user, watcher } = this.#place
    const log = openSync(logFile, 'a')
    const before = statSync(logFile).size
    watcher.tell('starting')
    const server = spawn(
      binary,
      ['-D', dataDir, '-p', String(this.port), '-c', `listen_addresses=${LOOPBACK.join(',')}`],
      {
        ...user,
        cwd: '/',
        // A session of its own: Ctrl-C is meant for us, who may still need the server.
        detached: true,
        env: cleanEnv(),
        stdio: ['ignore', log, log],
      },
    )
    closeSync(log)
    server.unref()
    server.once('exit', () => watcher.tell(0))
    if (server.pid === undefined) throw (await once(server, 'error'))[0] as Error
    watcher.tell(server.pid)
    this.#process = server
    this.pid = server.pid

    const logged = () => readFileSync(logFile).subarray(before).toString()
    const deadline = Date.now() + PATIENCE_MS
    while (!hasEnded(server) && !isReady(dataDir, server.pid)) {
      if (Date.now() > deadline) await this.#end('immediate')
      await sleep(10)
    }
    // Also when it is up: with only one of the two addresses, on the other somebody else would answer.
    if (!hasEnded(server) && !isPortTaken(logged())) return undefined
    await this.#end('fast')
    return logged()
  }

  async #end(mode: StopMode): Promise<void> {
    const server = this.#process
    if (server === undefined || hasEnded(server)) return
    server.ref()
    const exit = once(server, 'exit')
    server.kill(SIGNAL[mode])
    const tooLong = setTimeout(() => server.kill('SIGKILL'), PATIENCE_MS)
    await exit
    clearTimeout(tooLong)
  }
}

function childrenOf(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    return list.split(' ').map(Number).filter(Boolean)
  } catch {
    return []
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function hasEnded(process: ChildProcess): boolean {
  return process.exitCode !== null || process.signalCode !== null
}

/** As pg_ctl does: line 1 of postmaster.pid is the pid (another one's where a server was killed), line 8 the state. */
function isReady(dataDir: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function isPortTaken(log: string): boolean {
  return log.includes('Address already in use')
}
