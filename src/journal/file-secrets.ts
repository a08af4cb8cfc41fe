/** Secrets as files: `<state>/secrets/<run>`, mode 0600. */
import { join } from 'node:path'
import { writeFileDurably } from './disk.ts'
import type { Disk } from './disk.ts'
import type { Secrets } from './secrets.ts'
import { ASIDE, pruneAside, setFilesAside } from './set-aside.ts'
import { parseSecret } from './small-files.ts'
import { guarded, readOptional } from './state-files.ts'

/** `stateDir`: the folder that a message names. */
export function fileSecrets(stateDir: string, disk: Disk): Secrets {
  const folder = join(stateDir, 'secrets')
  const list = async (): Promise<string[]> => (await disk.list(folder)).filter((name) => !ASIDE.test(name))
  return {
    list,
    keep: (run, targetConfig) => guarded(stateDir, writeFileDurably(disk, folder, run, JSON.stringify(targetConfig))),
    async read(run) {
      const file = join(folder, run)
      const text = await readOptional(file, disk)
      return text === undefined ? undefined : parseSecret(file, text)
    },
    async forget(run) {
      await disk.remove(join(folder, run))
      await disk.syncFolder(folder)
    },
    async setAside(run, now) {
      const names = (await list()).filter((name) => name === run)
      return setFilesAside(folder, names, disk, now)
    },
    prune: (olderThanMs, now) => pruneAside(folder, disk, olderThanMs, now),
  }
}
