/** Ballast as a file, `<state>/ballast`: records of an undo, and its report, get its room when the disk is full. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { JournalError, messageOf } from '../core/errors.ts'
import type { Ballast } from './ballast.ts'
import { isCode, isFull, nodeDisk } from './disk.ts'
import type { Disk } from './disk.ts'

/** The undo records and the report of some ten thousand steps. */
export const BALLAST_BYTES = 4 * 2 ** 20

/** Of a state folder on a real disk. */
export function ballastOf(stateDir: string): Ballast {
  return new FileBallast(nodeDisk, stateDir, BALLAST_BYTES)
}

export class FileBallast implements Ballast {
  readonly #disk: Disk
  readonly #folder: string
  readonly #bytes: number

  constructor(disk: Disk, folder: string, bytes: number) {
    this.#disk = disk
    this.#folder = folder
    this.#bytes = bytes
  }

  async make(): Promise<void> {
    try {
      if ((await this.#size()) < this.#bytes) await this.#fill()
    } catch (error) {
      await this.#disk.remove(this.#temporary).catch(() => undefined)
      throw new JournalError(
        'JOURNAL_WRITE',
        `no run begins without ${this.#bytes} bytes put by for its undo, and ${this.#file} cannot be made: ${messageOf(error)}. Make room, or name another folder with --state-dir`,
        { cause: error },
      )
    }
  }

  async free(): Promise<boolean> {
    const there = (await this.#size()) > 0
    await this.#disk.remove(this.#file)
    // Also so that the file system really has the blocks again, and not only after its next commit.
    await this.#disk.syncFolder(this.#folder)
    return there
  }

  async withRoom(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (!isFull(error) || !(await this.free())) throw error
      await work()
    }
  }

  get #file(): string {
    return join(this.#folder, 'ballast')
  }

  get #temporary(): string {
    return join(this.#folder, '.ballast.tmp')
  }

  async #size(): Promise<number> {
    try {
      const file = await this.#disk.open(this.#file, 'read')
      try {
        return await file.size()
      } finally {
        await file.close()
      }
    } catch (error) {
      if (isCode(error, 'ENOENT')) return 0
      throw error
    }
  }

  /** Written, not just set to its length: what is sparse or shrinks when compressed has no blocks of its own. */
  async #fill(): Promise<void> {
    await this.#disk.remove(this.#temporary)
    const file = await this.#disk.open(this.#temporary, 'create')
    try {
      for (let at = 0; at < this.#bytes;) {
        const noise = randomBytes(Math.min(2 ** 18, this.#bytes - at))
        await file.write(noise, at)
        at += noise.length
      }
      await file.datasync()
    } finally {
      await file.close()
    }
    await this.#disk.rename(this.#temporary, this.#file)
    await this.#disk.syncFolder(this.#folder)
  }
}
