/** Disks for tests: one that can be watched and made to fail, and one in memory that loses power. */
import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from '../../src/journal/disk.ts'

export type Operation =
  | 'create'
  | 'open'
  | 'read'
  | 'write'
  | 'size'
  | 'truncate'
  | 'datasync'
  | 'close'
  | 'mkdir'
  | 'list'
  | 'readFile'
  | 'rename'
  | 'remove'
  | 'syncFolder'

/** Calls `before` ahead of every operation; what it throws is what the operation fails with. */
export function watched(disk: Disk, before: (op: Operation, path: string) => void | Promise<void>): Disk {
  const file = (path: string, inner: DiskFile): DiskFile => ({
    async write(bytes, position) {
      await before('write', path)
      await inner.write(bytes, position)
    },
    async read(position, length) {
      await before('read', path)
      return inner.read(position, length)
    },
    async size() {
      await before('size', path)
      return inner.size()
    },
    async truncate(size) {
      await before('truncate', path)
      await inner.truncate(size)
    },
    async datasync() {
      await before('datasync', path)
      await inner.datasync()
    },
    async close() {
      await before('close', path)
      await inner.close()
    },
  })
  return {
    async open(path, mode) {
      await before(mode === 'create' ? 'create' : 'open', path)
      return file(path, await disk.open(path, mode))
    },
    async mkdir(path) {
      await before('mkdir', path)
      await disk.mkdir(path)
    },
    async list(path) {
      await before('list', path)
      return disk.list(path)
    },
    async readFile(path) {
      await before('readFile', path)
      return disk.readFile(path)
    },
    async rename(from, to) {
      await before('rename', to)
      await disk.rename(from, to)
    },
    async remove(path) {
      await before('remove', path)
      await disk.remove(path)
    },
    async syncFolder(path) {
      await before('syncFolder', path)
      await disk.syncFolder(path)
    },
  }
}

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: said the test`), { code })
}

interface Inode {
  now: Buffer
  synced: Buffer
}

interface Folder {
  now: Map<string, Inode>
  synced: Map<string, Inode>
}

/** A disk that keeps what was synced apart from what was only written. Folder names are durable as soon as they are made. */
export class MemoryDisk implements Disk {
  readonly #folders = new Map<string, Folder>()

  /**
   * What a power cut leaves at this moment: synced bytes under synced names. Of bytes written since, `kept` decides how
   * much got there anyway.
   */
  afterPowerCut(kept: (unsynced: Buffer) => Buffer = () => Buffer.alloc(0)): MemoryDisk {
    const left = new MemoryDisk()
    for (const [path, folder] of this.#folders) {
      const names = new Map<string, Inode>()
      for (const [name, inode] of folder.synced) {
        const tail = kept(inode.now.subarray(inode.synced.length))
        const bytes = Buffer.concat([inode.synced, tail])
        names.set(name, { now: bytes, synced: bytes })
      }
      left.#folders.set(path, { now: names, synced: new Map(names) })
    }
    return left
  }

  open(path: string, mode: 'create' | 'write' | 'read'): Promise<DiskFile> {
    return attempt(() => {
      const folder = this.#folder(path)
      const found = folder.now.get(basename(path))
      if (mode === 'create') {
        if (found) throw diskError('EEXIST')
        const inode: Inode = { now: Buffer.alloc(0), synced: Buffer.alloc(0) }
        folder.now.set(basename(path), inode)
        return open(inode)
      }
      if (!found) throw diskError('ENOENT')
      return open(found)
    })
  }

  mkdir(path: string): Promise<void> {
    return attempt(() => {
      if (!this.#folders.has(path)) this.#folders.set(path, { now: new Map(), synced: new Map() })
    })
  }

  list(path: string): Promise<string[]> {
    return attempt(() => [...this.#folder(`${path}/.`).now.keys()])
  }

  readFile(path: string): Promise<Buffer> {
    return attempt(() => {
      const found = this.#folder(path).now.get(basename(path))
      if (!found) throw diskError('ENOENT')
      return Buffer.from(found.now)
    })
  }

  rename(from: string, to: string): Promise<void> {
    return attempt(() => {
      const found = this.#folder(from).now.get(basename(from))
      if (!found) throw diskError('ENOENT')
      this.#folder(from).now.delete(basename(from))
      this.#folder(to).now.set(basename(to), found)
    })
  }

  remove(path: string): Promise<void> {
    return attempt(() => void this.#folder(path).now.delete(basename(path)))
  }

  syncFolder(path: string): Promise<void> {
    return attempt(() => {
      const folder = this.#folder(`${path}/.`)
      folder.synced = new Map(folder.now)
    })
  }

  #folder(path: string): Folder {
    const folder = this.#folders.get(dirname(path))
    if (!folder) throw diskError('ENOENT')
    return folder
  }
}

function open(inode: Inode): DiskFile {
  return {
    write: (bytes, position) =>
      attempt(() => {
        const grown = Buffer.alloc(Math.max(inode.now.length, position + bytes.length))
        inode.now.copy(grown)
        bytes.copy(grown, position)
        inode.now = grown
      }),
    read: (position, length) => attempt(() => Buffer.from(inode.now.subarray(position, position + length))),
    size: () => attempt(() => inode.now.length),
    truncate: (size) => attempt(() => void (inode.now = Buffer.from(inode.now.subarray(0, size)))),
    datasync: () => attempt(() => void (inode.synced = Buffer.from(inode.now))),
    close: () => Promise.resolve(),
  }
}

/** Later, as a real disk would: whoever does not wait for it is found out. */
async function attempt<T>(work: () => T): Promise<T> {
  await new Promise((resolve) => setImmediate(resolve))
  return work()
}
