/**
 * Who holds a state folder, as far as can be told from here: by the note's pid where it counts, and by the lock itself
 * where the pid is one of another PID namespace (a container that shares the volume).
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import lockfile from 'proper-lockfile'
import { CodedError, JournalError } from '../core/errors.ts'
import { isCode } from '../journal/disk.ts'
import { openRegularSync } from '../journal/regular.ts'
import { cannotRead } from '../journal/unreadable.ts'
import { isAlive, lockfileOptions, readHolder } from './lock.ts'
import type { HolderNote } from './lock.ts'
import { isElsewhere } from './pid-namespace.ts'

export type Holder =
  /** Nobody; a note is then of one that is gone. */
  | { kind: 'none'; note?: HolderNote }
  | { kind: 'here'; note: HolderNote }
  /** Its pid means nothing here, or another process: it is never signalled. */
  | { kind: 'elsewhere'; note: HolderNote }

export async function holderOf(stateDir: string): Promise<Holder> {
  const note = await readHolder(stateDir)
  if (!note) return { kind: 'none' }
  if (await isElsewhere(note)) return (await isLocked(stateDir)) ? { kind: 'elsewhere', note } : { kind: 'none', note }
  return (await isAlive(note)) ? { kind: 'here', note } : { kind: 'none', note }
}

/** Whether the process is stopped (SIGSTOP, a debugger): it obeys nothing until it goes on. */
export async function isStopped({ note, kind }: { kind: string; note: HolderNote }): Promise<boolean> {
  if (kind !== 'here') return false
  const stat = await readFile(`/proc/${note.pid}/stat`, 'utf8').catch(() => '')
  return ['T', 't'].includes(stat.slice(stat.lastIndexOf(')') + 2).charAt(0))
}

/** Asks the lock itself, with one that others may share: who wants it whole meanwhile just tries again. */
export async function isLocked(stateDir: string): Promise<boolean> {
  const path = join(stateDir, 'lock')
  let fd: number
  try {
    fd = openRegularSync(path, constants.O_RDONLY)
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false
    throw new JournalError('JOURNAL_READ', await cannotRead(path, error), { cause: error })
  }
  try {
    const asked = spawnSync('flock', ['-n', '-s', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] })
    if (asked.error === undefined) return asked.status !== 0
    if (isCode(asked.error, 'ENOENT')) return await lockfile.check(stateDir, lockfileOptions(stateDir))
    throw new CodedError('LOCKED', `cannot run flock: ${asked.error.message}`, { cause: asked.error })
  } finally {
    closeSync(fd)
  }
}
