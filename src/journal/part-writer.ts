/** One file of a journal as its writer sees it: where the next line goes, what it must follow, and what is surely on the disk. */
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from './disk.ts'
import { CHAIN_START, lineOf, MAX_LINE_BYTES } from './format.ts'
import type { FileState } from './file-state.ts'

/** Any error is final: the kernel may have dropped what it could not write, and say nothing the next time. */
export class PartWriter {
  readonly #handle: DiskFile
  #size: number
  #synced: number
  #seq: number
  #prev: string

  private constructor(handle: DiskFile, at: { size: number; seq: number; prev: string }) {
    this.#handle = handle
    this.#size = this.#synced = at.size
    this.#seq = at.seq
    this.#prev = at.prev
  }

  /** A new, empty file; its name is durable when this resolves. */
  static async create(file: string, disk: Disk): Promise<PartWriter> {
    const handle = await disk.open(file, 'create')
    try {
      await disk.syncFolder(dirname(file))
      return new PartWriter(handle, { size: 0, seq: 0, prev: CHAIN_START })
    } catch (error) {
      await handle.close().catch(() => undefined)
      throw error
    }
  }

  /** Goes on with a file that was read: cuts a torn tail (a copy of it is kept beside the file), and syncs what is there. */
  static async resume(file: string, state: FileState, disk: Disk): Promise<PartWriter> {
    const handle = await disk.open(file, 'write')
    try {
      if (state.tornBytes > 0) {
        await keepTail(disk, handle, file, state)
        await handle.truncate(state.goodLength)
      }
      await handle.datasync()
      return new PartWriter(handle, { size: state.goodLength, seq: state.lastSeq, prev: state.lastCrc })
    } catch (error) {
      await handle.close().catch(() => undefined)
      throw error
    }
  }

  /** How many bytes of the file are surely on the disk. */
  get synced(): number {
    return this.#synced
  }

  /** Appends records, given as JSON texts, in one write. */
  async write(records: readonly string[], durable: boolean): Promise<void> {
    const lines = records.map((json) => {
      this.#seq += 1
      const { text, crc } = lineOf(this.#seq, this.#prev, json)
      this.#prev = crc
      return text
    })
    const bytes = Buffer.from(lines.join(''))
    await this.#handle.write(bytes, this.#size)
    this.#size += bytes.length
    if (!durable) return
    await this.#handle.datasync()
    this.#synced = this.#size
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

async function keepTail(disk: Disk, handle: DiskFile, file: string, state: FileState): Promise<void> {
  const tail = await handle.read(state.goodLength, Math.min(state.tornBytes, MAX_LINE_BYTES))
  try {
    const copy = await disk.open(`${dirname(file)}/${basename(file)}.torn-${Date.now()}`, 'create')
    try {
      await copy.write(tail, 0)
    } finally {
      await copy.close()
    }
  } catch {
    // Records that are not durable may be dropped on a full disk: the undo does not need them.
  }
}
