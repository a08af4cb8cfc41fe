/** A folder for one benchmark, removed at its end. */
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TMPFS = 0x01021994

/** Gives `work` an empty folder on a real disk: in memory, a sync would cost nothing and say nothing. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const clone = fileURLToPath(new URL('..', import.meta.url))
  const inMemory = (await statfs(tmpdir())).type === TMPFS
  const folder = await mkdtemp(join(inMemory ? clone : tmpdir(), '.chaos-bench-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
