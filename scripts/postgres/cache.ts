/**
 * Where the private PostgreSQL servers of demo and tests keep what is made once (binaries, initialised data folders),
 * and as whom they run. PostgreSQL refuses to run as root, and a clone may lie where nobody else may look.
 */
import { execFile } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import {
  cleanEnv,
  reachable,
  serverUser,
  temporaryFolder,
  type ServerUser,
} from '../../src/targets/database/postgres/sandbox/server-user.ts'

export { cleanEnv, reachable, serverUser, temporaryFolder, type ServerUser }

/** Runs a command as the server's user; rejects with what it said on stderr. */
export async function runAs(user: ServerUser, command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { ...user, cwd: '/', env: cleanEnv() })
  return stdout
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
