/**
 * Where the private PostgreSQL servers of demo and tests keep what is made once (binaries, initialised data folders),
 * and as whom they run. PostgreSQL refuses to run as root, and a clone may lie where nobody else may look.
 */
import { execFile } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** What `spawn` needs to run something as the server's user: nothing when we are an ordinary user ourselves. */
export interface ServerUser {
  uid?: number
  gid?: number
}

/** `nobody` for root, otherwise ourselves. */
export function serverUser(): ServerUser {
  if (process.geteuid?.() !== 0) return {}
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody')
  if (!entry) throw new Error('PostgreSQL does not run as root, and there is no user `nobody` to run it as')
  return { uid: Number(entry[2]), gid: Number(entry[3]) }
}

/** Runs a command as the server's user; rejects with what it said on stderr. */
export async function runAs(user: ServerUser, command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { ...user, cwd: '/', env: cleanEnv() })
  return stdout
}

/** Without PGDATA, PGPORT and the like, and with untranslated messages. */
export function cleanEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }
}

/** Whether the server's user, when it is not us, can enter the folder. */
export function reachable(folder: string, server = serverUser()): boolean {
  if (server.uid === undefined) return true
  const { uid, mode } = statSync(folder)
  const open = (mode & (uid === server.uid ? 0o100 : 0o001)) !== 0
  return open && (folder === dirname(folder) || reachable(dirname(folder), server))
}

/** A folder of our own that survives restarts and that the server's user can read. */
export function cacheFolder(): string {
  const user = process.geteuid?.() ?? 0
  const shared = user === 0 ? '/var/cache' : join(homedir(), '.cache')
  const candidates = [
    ...[process.env['XDG_CACHE_HOME'], shared].flatMap((f) => (f ? [join(f, 'chaos-agents')] : [])),
    join(tmpdir(), `chaos-agents-${user}`),
    `/tmp/chaos-agents-${user}`,
  ]
  const found = candidates.find((folder) => isOurs(folder, user) && reachable(folder))
  if (found === undefined) throw new Error(`none of these can be used as a cache folder: ${candidates.join(', ')}`)
  return found
}

/** A folder for one server's data that the server's user can reach, in the system's folder for temporary files. */
export async function temporaryFolder(): Promise<string> {
  return mkdtemp(join([tmpdir(), '/tmp'].find((folder) => reachable(folder)) ?? '/tmp', 'chaos-postgres-'))
}

/**
 * The folder `path`, made by `fill` if it does not exist yet. It appears complete or not at all, also when several
 * processes make it at once or one is killed.
 */
export async function madeOnce(path: string, fill: (temporary: string) => Promise<void>): Promise<string> {
  if (exists(path)) return path
  await removeAbandoned(path)
  const temporary = await mkdtemp(`${path}.tmp-${process.pid}-`)
  try {
    await fill(temporary)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    // Somebody else was faster.
    if (!exists(path)) throw error
  }
  return path
}

/** Makes the folder if needed. One that somebody else owns or may write to could hold binaries that are not ours. */
function isOurs(folder: string, user: number): boolean {
  try {
    if (mkdirSync(folder, { recursive: true }) !== undefined) chmodSync(folder, 0o755)
    const { uid, mode } = lstatSync(folder)
    return uid === user && (mode & 0o022) === 0
  } catch {
    return false
  }
}

async function removeAbandoned(path: string): Promise<void> {
  for (const name of await readdir(dirname(path))) {
    const pid = name.startsWith(`${basename(path)}.tmp-`) ? /\.tmp-(\d+)-/.exec(name)?.[1] : undefined
    if (pid !== undefined && !alive(Number(pid))) await rm(join(dirname(path), name), { recursive: true, force: true })
  }
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}
