/** Whether a pid is a chaos daemon, and of which state folder: told by the lock it holds open, not by its name. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isAlive, peekHolder } from '../supervisor/lock.ts'
import type { HolderNote } from '../supervisor/lock.ts'

export type WhoIs =
  | { kind: 'daemon'; stateDir: string; note: HolderNote }
  /** No such process, or a zombie. */
  | { kind: 'gone' }
  /** Another program: its pid was used before by somebody else. */
  | { kind: 'stranger' }
  /** Alive, but this user may not look into it. `daemon`: its command line reads like one of ours. */
  | { kind: 'hidden'; daemon: boolean }

/** `stateDir`: only a daemon of that folder counts, by the very lock in it; else whichever one it has open. */
export async function whoIs(pid: number, stateDir?: string): Promise<WhoIs> {
  if (!(await isAlive({ pid, start_time: '' }))) return { kind: 'gone' }
  let open: string[]
  try {
    open = await openFiles(pid)
  } catch {
    if (!(await isAlive({ pid, start_time: '' }))) return { kind: 'gone' }
    return { kind: 'hidden', daemon: await readsLikeDaemon(pid) }
  }
  for (const file of open.filter((path) => basename(path) === 'lock')) {
    const note = await peekHolder(dirname(file))
    // A worker holds the lock open too, but the note names its supervisor.
    const isIt = stateDir === undefined || (await isSame(file, join(stateDir, 'lock')))
    if (isIt && note?.pid === pid && note.command === 'daemon' && (await isAlive(note))) {
      return { kind: 'daemon', stateDir: dirname(file), note }
    }
  }
  return { kind: 'stranger' }
}

async function isSame(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => stat(path).catch(() => undefined)))
  return a !== undefined && a.dev === b?.dev && a.ino === b.ino
}

async function openFiles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`
  const links = (await readdir(folder)).map((fd) => readlink(join(folder, fd)).catch(() => ''))
  return Promise.all(links)
}

/** Where there is no /proc, rather one too many than one too few. */
async function readsLikeDaemon(pid: number): Promise<boolean> {
  try {
    const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
    return args.includes('daemon') && args.some((arg) => ['chaos', 'main.js'].includes(basename(arg)))
  } catch {
    return true
  }
}
