/** Whether the disk of the state folder takes a write, and says that it has it. */
import { join } from 'node:path'
import { nodeDisk } from './disk.ts'
import type { Disk } from './disk.ts'

/** Somebody who asks more often gets the last answer. */
const KEEP_MS = 1_000

/**
 * Returns the check: rejects when the folder cannot be written. However often it is called, one at a time is under way: a
 * disk that hangs must not take every thread that could write the journal.
 */
export function writeProbe(
  stateDir: string,
  disk: Disk = nodeDisk,
  now = () => performance.now(),
): () => Promise<void> {
  let last: { done: Promise<void>; until: number } | undefined
  return () => {
    if (last && last.until > now()) return last.done
    const probe = { done: writeOnce(stateDir, disk), until: Infinity }
    const settle = (): void => void (probe.until = now() + KEEP_MS)
    probe.done.then(settle, settle)
    last = probe
    return probe.done
  }
}

async function writeOnce(stateDir: string, disk: Disk): Promise<void> {
  const path = join(stateDir, '.probe')
  await disk.remove(path)
  const file = await disk.open(path, 'create')
  try {
    // As much as a record: a full disk may still have room for a name.
    await file.write(Buffer.alloc(4_096, 'chaos '), 0)
    await file.datasync()
  } finally {
    await file.close()
    await disk.remove(path)
  }
}
