/** The state folder: opens what is kept in it, and says who this install is. */
import { join } from 'node:path'
import type { Ballast } from './ballast.ts'
import { nodeDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { BALLAST_BYTES, FileBallast } from './file-ballast.ts'
import { fileHistory } from './file-history.ts'
import { fileRuns } from './file-runs.ts'
import { fileSecrets } from './file-secrets.ts'
import type { History } from './history.ts'
import { mintOnce, readInstall } from './install.ts'
import { mintInstall } from './names.ts'
import type { Runs } from './runs.ts'
import type { Secrets } from './secrets.ts'
import { unwritable } from './state-files.ts'

export interface StateDir {
  readonly path: string
  /** Minted with the folder; the first part of every mark. */
  readonly install: string
  readonly runs: Runs
  readonly secrets: Secrets
  readonly history: History
  readonly ballast: Ballast
}

export interface StateDirOptions {
  disk?: Disk
  ballastBytes?: number
}

/** Opens the folder for reading; undefined when it was never used. */
export async function findStateDir(path: string): Promise<StateDir | undefined> {
  const install = await readInstall(path, nodeDisk)
  return install === undefined ? undefined : stateDir(path, install, nodeDisk, BALLAST_BYTES)
}

/** For looking only: a folder that was never used reads as an empty one of a fresh install, and is not made. */
export async function peekStateDir(path: string): Promise<StateDir> {
  return (await findStateDir(path)) ?? stateDir(path, mintInstall(), nodeDisk, BALLAST_BYTES)
}

/** Opens the folder for writing, and makes it on first use. Throws JournalError where it cannot be written. */
export async function openStateDir(path: string, options: StateDirOptions = {}): Promise<StateDir> {
  const { disk = nodeDisk, ballastBytes = BALLAST_BYTES } = options
  try {
    await disk.mkdir(path)
    for (const folder of ['journal', 'history', 'secrets']) await disk.mkdir(join(path, folder), { inside: true })
    await mintOnce(path, disk)
  } catch (error) {
    throw await unwritable(path, error)
  }
  const install = await readInstall(path, disk)
  if (install === undefined) throw await unwritable(path, new Error('the install id could not be read back'))
  return stateDir(path, install, disk, ballastBytes)
}

function stateDir(path: string, install: string, disk: Disk, ballastBytes: number): StateDir {
  const ballast = new FileBallast(disk, path, ballastBytes)
  return {
    ...{ path, install, ballast },
    runs: fileRuns(join(path, 'journal'), disk, () => ballast.free()),
    secrets: fileSecrets(path, disk),
    history: fileHistory(path, disk, ballast),
  }
}
