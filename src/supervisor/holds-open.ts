/** Whether a process has a file open: what a note says of a pid is a claim, an open lock is proof. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** By the file itself, whatever its path is called now. Undefined where this user or this system does not show it. */
export async function holdsOpen(pid: number, file: { dev: number; ino: number }): Promise<boolean | undefined> {
  const folder = `/proc/${pid}/fd`
  const names = await readdir(folder).catch(() => undefined)
  if (!names) return undefined
  const open = await Promise.all(names.map((fd) => stat(join(folder, fd)).catch(() => undefined)))
  return open.some((found) => found?.dev === file.dev && found.ino === file.ino)
}
