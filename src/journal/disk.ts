/** The file system as the journal uses it: small, so that tests can break it at every operation. */
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { giveFolderToOwner, giveToOwner } from './owner.ts'
import { openRegular, readRegular } from './regular.ts'

export interface DiskFile {
  /** Writes all of it at `position`; a short write is continued. */
  write(bytes: Buffer, position: number): Promise<void>
  /** Up to `length` bytes from `position`; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Buffer>
  size(): Promise<number>
  truncate(size: number): Promise<void>
  /** Durable when it resolves: data, and the size needed to read it back. */
  datasync(): Promise<void>
  close(): Promise<void>
}

export interface Disk {
  /** `create` fails when the file exists; `write` when it does not. Files are plain ones, 0600, and their folder's owner's. */
  open(path: string, mode: 'create' | 'write' | 'read'): Promise<DiskFile>
  /** The folder and its parents, 0700, with durable names. `inside` another of ours, it becomes that one's owner's. */
  mkdir(path: string, where?: { inside: boolean }): Promise<void>
  list(path: string): Promise<string[]>
  /** Rejects with EFBIG for more than `most` bytes. */
  readFile(path: string, most?: number): Promise<Buffer>
  rename(from: string, to: string): Promise<void>
  /** No error when there is none. */
  remove(path: string): Promise<void>
  /** Makes names created, renamed or removed in a folder durable. */
  syncFolder(path: string): Promise<void>
}

const FLAGS = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  write: constants.O_RDWR,
  read: constants.O_RDONLY,
}

export const nodeDisk: Disk = {
  async open(path, mode) {
    const handle = await openRegular(path, FLAGS[mode])
    if (mode === 'create') giveToOwner(handle.fd, path)
    return {
      async write(bytes, position) {
        for (let done = 0; done < bytes.length;) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
          if (bytesWritten === 0) throw new Error('the disk takes no more bytes')
          done += bytesWritten
        }
      },
      async read(position, length) {
        const buffer = Buffer.allocUnsafe(length)
        let done = 0
        while (done < length) {
          const { bytesRead } = await handle.read(buffer, done, length - done, position + done)
          if (bytesRead === 0) break
          done += bytesRead
        }
        return buffer.subarray(0, done)
      },
      size: async () => (await handle.stat()).size,
      truncate: (size) => handle.truncate(size),
      datasync: () => handle.datasync(),
      close: () => handle.close(),
    }
  },
  async mkdir(path, { inside } = { inside: false }) {
    const folder = resolve(path)
    try {
      await mkdir(folder, { mode: 0o700 })
      if (inside) await giveFolderToOwner(folder)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EEXIST') {
        if (await isFolder(folder)) return
        throw new Error(`${folder} is there and is not a folder`)
      }
      if (code !== 'ENOENT' || dirname(folder) === folder) throw error
      // Not mkdir's own `recursive`: where the parent exists and refuses (/proc), that tries for ever.
      if (await isThere(dirname(folder))) throw error
      await nodeDisk.mkdir(dirname(folder))
      await mkdir(folder, { mode: 0o700 })
    }
    // A parent that we may enter but not read cannot be synced by us.
    await syncFolder(dirname(folder)).catch(() => undefined)
  },
  list: (path) => readdir(path),
  readFile: readRegular,
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  syncFolder,
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Whether an error of the system has that code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

/** Whether there is no room left, on the disk or within a quota. */
export function isFull(error: unknown): boolean {
  return isCode(error, 'ENOSPC') || isCode(error, 'EDQUOT')
}

/** Writes a whole small file so that it is either the old or the new one after a crash. Durable when it resolves. */
export async function writeFileDurably(disk: Disk, folder: string, name: string, content: string): Promise<void> {
  const temporary = `${folder}/.${name}.tmp`
  await disk.remove(temporary)
  const file = await disk.open(temporary, 'create')
  try {
    await file.write(Buffer.from(content), 0)
    await file.datasync()
  } finally {
    await file.close()
  }
  await disk.rename(temporary, `${folder}/${name}`)
  await disk.syncFolder(folder)
}
