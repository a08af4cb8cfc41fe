/** `chaos stop`: SIGTERM to the daemon, and to nobody else; waits until it is gone and says what is left. */
import { resolve } from 'node:path'
import { systemClock } from '../../core/clock.ts'
import { formatDuration, parseDuration } from '../../core/duration.ts'
import { CodedError, ConfigError, ERROR_CODES, messageOf } from '../../core/errors.ts'
import { askDaemon } from '../../daemon/control/client.ts'
import { holderOf, isLocked, isStopped } from '../../supervisor/holder.ts'
import { isAlive, readHolder } from '../../supervisor/lock.ts'
import type { HolderNote } from '../../supervisor/lock.ts'
import { readPidFile } from '../../daemon/pid-file.ts'
import { elsewhereText } from '../../supervisor/pid-namespace.ts'
import { until } from '../../core/until.ts'
import { whoIs } from '../../daemon/find-daemon.ts'
import { pendingSteps } from '../../journal/journal.ts'
import { peekStateDir } from '../../journal/state-dir.ts'
import { json, stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'

export interface StopOptions {
  pidFile?: string
  stateDir?: string
  timeout: string
  json?: boolean
}

/** Exit code when there is no daemon. */
const NO_DAEMON = 1
const LOOK_MS = 50

interface Running {
  note: HolderNote
  stateDir: string
  /** Its pid counts in another PID namespace: it is asked, and never signalled. */
  elsewhere?: true
}

export async function stop(context: Context, options: StopOptions): Promise<number> {
  const timeoutMs = timeoutOf(options.timeout)
  const found =
    options.pidFile === undefined
      ? await byStateDir(stateDirOf(options.stateDir, context.env))
      : await byPidFile(resolve(options.pidFile), options.stateDir)
  if (typeof found === 'string') {
    context.out(options.json === true ? json({ stopped: null, reason: found }) : `${found}\n`)
    return NO_DAEMON
  }
  const { note, stateDir } = found
  const begun = systemClock.monotonic()
  if (found.elsewhere) await askDaemon(stateDir, { op: 'stop' })
  else {
    await refuseStopped(note)
    terminate(note)
  }
  const gone = found.elsewhere
    ? await holdsWithin(async () => !(await isLocked(stateDir)), timeoutMs)
    : await goneWithin(stateDir, note, timeoutMs)
  const tookMs = Math.round(systemClock.monotonic() - begun)
  const pending = await pendingIn(stateDir)
  if (options.json === true) context.out(json({ stopped: gone ? note.pid : null, took_ms: tookMs, pending }))
  else if (!gone)
    context.out(
      `chaos daemon (pid ${note.pid}) was told to stop and is still undoing after ${formatDuration(tookMs)}; it is not killed, and goes on\n`,
    )
  else {
    context.out(`stopped chaos daemon (pid ${note.pid}) in ${formatDuration(tookMs)}\n`)
    for (const run of pending) context.out(`not undone: ${run}; the next start, or chaos recover, undoes it\n`)
    if (pending.length === 0) context.out('nothing is left to undo\n')
  }
  return gone && pending.length === 0 ? 0 : ERROR_CODES.RESIDUE
}

/** Longest wait; milliseconds. */
function timeoutOf(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw usage('--timeout', `${JSON.stringify(text)} is not a duration: write 6m`)
  return ms
}

/** The daemon that holds the state folder, or the sentence why there is none to stop. */
async function byStateDir(stateDir: string): Promise<Running | string> {
  const { kind, note } = await holderOf(stateDir)
  if (kind === 'none') return `no daemon is up (state in ${stateDir})`
  if (kind === 'elsewhere') {
    if (note.command === 'daemon') return { note, stateDir, elsewhere: true }
    return `no daemon is up: ${stateDir} is in use by ${elsewhereText(note)}`
  }
  if (note.command !== 'daemon')
    return `no daemon is up: ${stateDir} is in use by chaos ${note.command} (pid ${note.pid})`
  // A note may outlive a reboot, and where it was written there may have been no start times: before a signal, a second look.
  const who = await whoIs(note.pid, stateDir)
  if (who.kind === 'gone' || who.kind === 'stranger')
    return `no daemon is up: process ${note.pid}, which ${stateDir} names, is another program by now; it is left alone`
  return { note, stateDir }
}

async function byPidFile(file: string, stateDir: string | undefined): Promise<Running | string> {
  const pid = await readPidFile(file)
  if (pid === undefined) return `no daemon is up: there is no ${file}`
  if (pid === 0) return `no daemon is up: ${file} is empty`
  const who = await whoIs(pid)
  switch (who.kind) {
    case 'gone':
      return `no daemon is up: ${file} is of process ${pid}, which has ended`
    case 'stranger':
      return `no daemon is up: process ${pid} in ${file} is another program by now; it is left alone`
    case 'hidden':
      return `process ${pid} in ${file} is of another user, and cannot be told to be a daemon: it is left alone. Use that user, or root`
    case 'daemon':
      if (stateDir !== undefined && resolve(stateDir) !== who.stateDir)
        throw usage('--state-dir', `the daemon of ${file} has its state in ${who.stateDir}`)
      return who
  }
}

/** A signal would wait for it, and end it when nobody expects that any more. */
async function refuseStopped(note: HolderNote): Promise<void> {
  if (!(await isStopped({ kind: 'here', note }))) return
  throw new CodedError(
    'NO_ANSWER',
    `nobody answers: chaos daemon (pid ${note.pid}) is stopped, and was not told to end. kill -CONT ${note.pid} lets it go on; then chaos stop`,
  )
}

function terminate({ pid }: HolderNote): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    // It has just ended by itself: that is what was wanted.
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return
    throw new CodedError('USAGE', `chaos daemon (pid ${pid}) may not be stopped by this user: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** Whether the daemon and all its workers, and with them the lock, are gone in that time. */
async function goneWithin(stateDir: string, daemon: HolderNote, timeoutMs: number): Promise<boolean> {
  let { workers } = daemon
  const gone = async (): Promise<boolean> => {
    const now = await readHolder(stateDir)
    const ours = now?.pid === daemon.pid && now.start_time === daemon.start_time
    if (ours) workers = now.workers
    const alive = await Promise.all([daemon, ...workers].map(isAlive))
    return !alive.includes(true)
  }
  return holdsWithin(gone, timeoutMs)
}

async function holdsWithin(is: () => Promise<boolean>, timeoutMs: number): Promise<boolean> {
  return (await until(is, { clock: systemClock, ms: timeoutMs, pauses: [LOOK_MS, LOOK_MS] })) === true
}

async function pendingIn(stateDir: string): Promise<string[]> {
  const journals = await (await peekStateDir(stateDir)).runs.list()
  return journals.filter((j) => pendingSteps(j).length > 0 || j.damage.length > 0).map((j) => j.run)
}

function usage(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'stop', line: 0, column: 0, path, message }], 'USAGE')
}
