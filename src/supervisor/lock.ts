/**
 * One process per state folder. The kernel lock on `<state>/lock` is inherited by every worker, so it is free only when
 * the supervisor *and* all its workers are gone: an orphan can never commit after recovery has declared it undone.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, fstatSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import lockfile from 'proper-lockfile'
import type { Clock } from '../core/clock.ts'
import { CodedError, JournalError, messageOf } from '../core/errors.ts'
import { until } from '../core/until.ts'
import { ballastOf } from '../journal/file-ballast.ts'
import { isCode, isFull } from '../journal/disk.ts'
import { giveToOwner, replaceAsOwner } from '../journal/owner.ts'
import { openRegularSync, readRegular, SMALL_BYTES } from '../journal/regular.ts'
import { fields, listOf, optional, text } from '../journal/shape.ts'
import type { Shape } from '../journal/shape.ts'
import { adviceFor, cannotRead, unreadableBy } from '../journal/unreadable.ts'
import { holdsOpen } from './holds-open.ts'
import { elsewhereText, isElsewhere, pidNamespace } from './pid-namespace.ts'

/** A process. Its start time distinguishes it from a later one with the same pid. */
export interface ProcessId {
  pid: number
  /** Clock ticks since boot, from /proc; empty where there is no /proc. */
  start_time: string
}

/** `<state>/daemon.json`: who holds the lock, and the workers it started. */
export interface HolderNote extends ProcessId {
  command: string
  started_at: string
  workers: (ProcessId & { run: string })[]
  /** In which its pids count; absent where the system does not tell. */
  pid_namespace?: string
  /** The path of its control socket, once a daemon listens there. */
  control?: string
}

export interface StateLock {
  /** For workers to inherit; -1 where the kernel lock is not available. */
  readonly fd: number
  /** Adds a worker before it gets its job, so that a successor waits for it. */
  addWorker(pid: number, run: string): Promise<void>
  removeWorker(pid: number): Promise<void>
  /** Says where commands reach the holder. */
  setControl(path: string): Promise<void>
  release(): Promise<void>
}

/** For commands that change nothing, neither on a target nor in the state folder. */
export const noLock: StateLock = {
  fd: -1,
  addWorker: () => Promise.resolve(),
  removeWorker: () => Promise.resolve(),
  setControl: () => Promise.resolve(),
  release: () => Promise.resolve(),
}

/** How long a newcomer lets orphaned workers roll back by themselves before it ends them. */
const ORPHAN_MS = 20_000
/** How long a killed worker may take to let go of the lock. */
const KILLED_MS = 2_000

/** Takes the lock; throws CodedError LOCKED naming the holder. `onLost` is called if the lock breaks while it is held. */
export async function lockState(
  stateDir: string,
  command: string,
  clock: Clock,
  onLost: (error: Error) => void,
): Promise<StateLock> {
  const path = join(stateDir, 'lock')
  const { fd, readOnly } = await openLock(path, command)
  try {
    const release = await take(fd, stateDir, clock, onLost)
    const namespace = await pidNamespace()
    const note: HolderNote = {
      ...(await processId(process.pid)),
      ...(namespace === undefined ? {} : { pid_namespace: namespace }),
      command,
      started_at: new Date(clock.now()).toISOString(),
      workers: [],
    }
    const write = (): Promise<void> => (readOnly ? Promise.resolve() : writeHolder(stateDir, note))
    // An undo does not wait for room; without a note a successor waits for our worker, but cannot end it.
    const unlessFull = (): Promise<void> =>
      write().catch((error: unknown) => {
        if (!isFull(error instanceof Error ? error.cause : error)) throw error
      })
    return await held(fd, command === 'recover' ? unlessFull : write, note, release)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** On a read-only disk the lock can be taken all the same, for what must not wait for it: the undo. It leaves no note then. */
async function openLock(path: string, command: string): Promise<{ fd: number; readOnly: boolean }> {
  try {
    const fd = openRegularSync(path, constants.O_RDWR | constants.O_CREAT)
    giveToOwner(fd, path)
    return { fd, readOnly: false }
  } catch (error) {
    try {
      if (command === 'recover' && isCode(error, 'EROFS'))
        return { fd: openRegularSync(path, constants.O_RDONLY), readOnly: true }
    } catch {
      // There is none: then nothing was ever begun here.
    }
    const notAFile = ['ELOOP', 'EISDIR', 'ENXIO', 'EFTYPE'].some((code) => isCode(error, code))
    const code = unreadableBy(error, path)?.code ?? ''
    const advice = notAFile
      ? 'Only a plain file can be locked: remove what is there'
      : (await adviceFor(path, code)) || 'Make the disk writable'
    throw new JournalError(
      'JOURNAL_WRITE',
      `cannot open ${path}: ${messageOf(error)}. ${advice}, or name another folder with --state-dir`,
      { cause: error },
    )
  }
}

async function take(
  fd: number,
  stateDir: string,
  clock: Clock,
  onLost: (error: Error) => void,
): Promise<() => Promise<void>> {
  const attempt = async (): Promise<(() => Promise<void>) | undefined> => {
    const got = flock(fd)
    if (got === 'unavailable') return takeLockfile(stateDir, onLost)
    if (got) {
      await refuseLockfile(stateDir)
      return () => Promise.resolve()
    }
    const note = await peekHolder(stateDir)
    // Its holder is alive: we may signal neither it nor its workers.
    if (note && (await isElsewhere(note))) throw lockedBy(stateDir, note, elsewhereText(note))
    if (note && (await isAlive(note))) throw lockedBy(stateDir, note)
    return undefined
  }
  const own = await until(attempt, { clock, ms: ORPHAN_MS, pauses: [100, 100] })
  if (own) return own
  await endOrphans(stateDir, fd)
  const afterThem = await until(attempt, { clock, ms: KILLED_MS, pauses: [100, 100] })
  if (afterThem) return afterThem
  throw new CodedError('LOCKED', `${stateDir} is locked by a process that left no note; end it, then start again`)
}

/** Their supervisor is dead and they have had their time: only after their death is the journal the whole truth. */
async function endOrphans(stateDir: string, fd: number): Promise<void> {
  const note = await peekHolder(stateDir)
  // Somebody else may have taken the lock since it was last tried.
  if (!note || (await isElsewhere(note)) || (await isAlive(note))) return
  const lock = fstatSync(fd)
  for (const worker of note.workers)
    if (worker.start_time !== '' && (await isAlive(worker)) && (await holdsOpen(worker.pid, lock))) kill(worker.pid)
}

function lockedBy(stateDir: string, note: HolderNote, who?: string): CodedError {
  return new CodedError(
    'LOCKED',
    `${stateDir} is in use by ${who ?? `chaos ${note.command} (pid ${note.pid}, since ${note.started_at})`}; stop it first or use another --state-dir`,
  )
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has just ended, or we may not end it; the next attempt at the lock shows which.
  }
}

/** The kernel lock belongs to the open file, so a child that inherits the descriptor can take it for us and end. */
function flock(fd: number): boolean | 'unavailable' {
  const result = spawnSync('flock', ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
  if (result.error === undefined) return result.status === 0
  if ((result.error as NodeJS.ErrnoException).code === 'ENOENT') return 'unavailable'
  // A machine without room for a process is no reason to take the weaker lock beside somebody who has the real one.
  throw new CodedError('LOCKED', `cannot run flock: ${result.error.message}`, { cause: result.error })
}

export function lockfileOptions(stateDir: string): { lockfilePath: string; realpath: boolean } {
  return { lockfilePath: join(stateDir, 'lock.d'), realpath: false }
}

/** Somebody who found no flock on their PATH, as we did, is a holder too. */
async function refuseLockfile(stateDir: string): Promise<void> {
  if (!(await lockfile.check(stateDir, lockfileOptions(stateDir)))) return
  const note = await peekHolder(stateDir)
  if (note && (await isAlive(note))) throw lockedBy(stateDir, note)
}

/** Where there is no flock: weaker, since workers do not hold it, but it still keeps two supervisors apart. */
async function takeLockfile(stateDir: string, onLost: (error: Error) => void): Promise<() => Promise<void>> {
  const holder = await peekHolder(stateDir)
  // It may hold the kernel lock, which we cannot see.
  if (holder && holder.pid !== process.pid && (await isAlive(holder))) throw lockedBy(stateDir, holder)
  for (const worker of holder?.workers ?? []) {
    if (await isAlive(worker))
      throw new CodedError('LOCKED', `${stateDir} is in use by worker ${worker.pid}; wait until it ends`)
  }
  try {
    return await lockfile.lock(stateDir, { ...lockfileOptions(stateDir), onCompromised: onLost })
  } catch (error) {
    const note = await peekHolder(stateDir)
    throw note
      ? lockedBy(stateDir, note)
      : new CodedError('LOCKED', `${stateDir} is locked: ${messageOf(error)}`, { cause: error })
  }
}

async function held(
  fd: number,
  writeNote: () => Promise<void>,
  note: HolderNote,
  release: () => Promise<void>,
): Promise<StateLock> {
  await writeNote()
  let released = false
  let writing = Promise.resolve()
  /** One write at a time, of what is true then; never over the note of a successor. */
  const write = (): Promise<void> => {
    const written = writing.then(() => (released ? undefined : writeNote()))
    writing = written.catch(() => undefined)
    return written
  }
  return {
    fd,
    async addWorker(pid, run) {
      note.workers.push({ ...(await processId(pid)), run })
      await write()
    },
    async removeWorker(pid) {
      note.workers = note.workers.filter((worker) => worker.pid !== pid)
      await write()
    },
    async setControl(path) {
      note.control = path
      await write()
    },
    async release() {
      if (released) return
      released = true
      await writing
      await release()
      closeSync(fd)
    },
  }
}

/**
 * Undefined where nobody ever held the lock, and where the note is damaged: it is no proof of anything, the lock is. Throws
 * JOURNAL_READ where the system does not let us read it: then somebody may be there.
 */
export async function readHolder(stateDir: string): Promise<HolderNote | undefined> {
  const file = join(stateDir, 'daemon.json')
  let text: string
  try {
    text = (await readRegular(file, SMALL_BYTES)).toString()
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw new JournalError('JOURNAL_READ', `${await cannotRead(file, error)}. ${NAME_IT}`, { cause: error })
  }
  try {
    const note = JSON.parse(text) as unknown
    return isNote(note) ? (note as HolderNote) : undefined
  } catch {
    return undefined
  }
}

/** Where a note that cannot be read is as good as none. */
export function peekHolder(stateDir: string): Promise<HolderNote | undefined> {
  return readHolder(stateDir).catch(() => undefined)
}

const NAME_IT = 'Name the state folder with --state-dir or CHAOS_STATE_DIR, or be its owner'

/** Signals are sent to what stands there, and to the kernel 0 and -1 are many processes. */
const pid: Shape = (value) => Number.isSafeInteger(value) && Number(value) > 0

const path: Shape = (value) => typeof value === 'string' && isAbsolute(value) && !value.includes('\0')

const isNote = fields({
  ...{ pid, start_time: text, command: text, started_at: text, control: optional(path), pid_namespace: optional(text) },
  workers: listOf(fields({ pid, start_time: text, run: text })),
})

/** On a full disk it gets the ballast: no worker starts without it, not even one that undoes. */
async function writeHolder(stateDir: string, note: HolderNote): Promise<void> {
  const file = join(stateDir, 'daemon.json')
  try {
    await ballastOf(stateDir).withRoom(() => replaceAsOwner(file, `${JSON.stringify(note)}\n`))
  } catch (error) {
    throw new JournalError('JOURNAL_WRITE', `cannot write ${file}: ${messageOf(error)}`, { cause: error })
  }
}

/** Whether that very process still runs; a zombie does not. */
export async function isAlive({ pid, start_time }: ProcessId): Promise<boolean> {
  const stat = await procStat(pid)
  if (stat) return stat.state !== 'Z' && (start_time === '' || stat.startTime === start_time)
  if (start_time !== '') return false
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function processId(pid: number): Promise<ProcessId> {
  return { pid, start_time: (await procStat(pid))?.startTime ?? '' }
}

async function procStat(pid: number): Promise<{ state: string; startTime: string } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in brackets and may contain anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}
