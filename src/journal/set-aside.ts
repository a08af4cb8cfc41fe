/** Files that nobody can use any more, and that are kept for a person under another name until old reports go. */
import { join } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import type { Disk } from './disk.ts'

/** How such a file ends, with when: no reader takes it for a journal. */
export const ASIDE = /\.damaged-(\d+)$/

/** Renames them in this order, and makes that durable; returns their new names. Throws JOURNAL_WRITE. */
export async function setFilesAside(
  folder: string,
  names: readonly string[],
  disk: Disk,
  now: number,
): Promise<string[]> {
  const aside: string[] = []
  try {
    for (const name of names) {
      const to = join(folder, `${name}.damaged-${now}`)
      await disk.rename(join(folder, name), to)
      aside.push(to)
    }
    if (names.length > 0) await disk.syncFolder(folder)
    return aside
  } catch (error) {
    const next = join(folder, names[aside.length] ?? '')
    throw new JournalError('JOURNAL_WRITE', `cannot set ${next} aside: ${messageOf(error)}`, { cause: error })
  }
}

/** Removes what was set aside longer ago than so many milliseconds. */
export async function pruneAside(folder: string, disk: Disk, olderThanMs: number, now: number): Promise<void> {
  for (const name of await disk.list(folder)) {
    const aside = ASIDE.exec(name)
    if (aside && now - Number(aside[1]) > olderThanMs) await disk.remove(join(folder, name))
  }
}
