/** The install id: minted with the state folder, and the first part of every mark. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { JournalError, messageOf } from '../core/errors.ts'
import { isCode, writeFileDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import { mintInstall } from './names.ts'
import { SMALL_BYTES } from './regular.ts'
import { readOptional } from './state-files.ts'

/** Two first starts at once agree on one id: the name is created by one of them only. */
export async function mintOnce(path: string, disk: Disk): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    if ((await readInstall(path, disk)) !== undefined) return
    try {
      const file = await disk.open(join(path, 'install'), 'create')
      try {
        await file.write(Buffer.from(`${mintInstall()}\n`), 0)
        await file.datasync()
      } finally {
        await file.close()
      }
      await disk.syncFolder(path)
      return
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      // Another process is writing it just now.
      await sleep(50)
    }
  }
  // Empty, a crash came between its name and its content: then nothing was ever marked with it. Else it names marks.
  const damaged = await readOptional(join(path, 'install'), disk, SMALL_BYTES)
  if (damaged !== undefined && /[^\0\s]/.test(damaged))
    await disk.rename(join(path, 'install'), join(path, `install.damaged-${Date.now()}`))
  await writeFileDurably(disk, path, 'install', `${mintInstall()}\n`)
}

/** Undefined where there is none yet. */
export async function readInstall(path: string, disk: Disk): Promise<string | undefined> {
  const text = await readOptional(join(path, 'install'), disk, SMALL_BYTES).catch((error: unknown) => {
    const advice = 'Name the state folder with --state-dir or CHAOS_STATE_DIR, or be its owner'
    throw new JournalError('JOURNAL_READ', `${messageOf(error)}. ${advice}`, { cause: error })
  })
  return text !== undefined && /^[a-z0-9]{4,12}$/.test(text.trim()) ? text.trim() : undefined
}
