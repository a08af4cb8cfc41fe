/**
 * Opens a file of the state folder: only a plain one, and never through a link. A FIFO would keep its reader waiting for
 * ever, a device would never end, and a link would lead out of the folder.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isOwnGroup, nameOf } from './users.ts'

const { O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Larger than any report, result, secret or order. Journals are read as a stream and have bounds of their own. */
const MOST_BYTES = 64 * 2 ** 20
/** Larger than the install id, the note about who holds the folder, and the like. */
export const SMALL_BYTES = 2 ** 20
const CHUNK_BYTES = 64 * 2 ** 10

/** `flags` of open(2). Rejects with ELOOP for a link, and with EFTYPE for a FIFO, a socket or a device. */
export async function openRegular(path: string, flags: number, mode = 0o600): Promise<FileHandle> {
  const handle = await open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)
  try {
    refuseSpecial(path, await handle.stat())
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The same at once. */
export function openRegularSync(path: string, flags: number, mode = 0o600): number {
  const fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode)
  try {
    refuseSpecial(path, fstatSync(fd))
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Rejects with EFBIG, too, where there are more bytes than `most`: nothing that we write is so large. */
export async function readRegular(path: string, most = MOST_BYTES): Promise<Buffer> {
  const handle = await openRegular(path, constants.O_RDONLY)
  try {
    // A folder is refused by the read; what says too little of its size, by what is read of it.
    const info = await handle.stat()
    if (info.isFile()) refuseLarge(path, info.size, most)
    const chunks: Buffer[] = []
    for (let length = 0; ;) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES)
      if (bytesRead === 0) return Buffer.concat(chunks)
      length += bytesRead
      refuseLarge(path, length, most)
      chunks.push(buffer.subarray(0, bytesRead))
    }
  } finally {
    await handle.close()
  }
}

function refuseLarge(path: string, bytes: number, most: number): void {
  if (bytes <= most) return
  throw Object.assign(new Error(`EFBIG: it is larger than ${most / 2 ** 20} MiB`), { code: 'EFBIG', path })
}

/** A folder is left to whoever reads it: the system says EISDIR. */
function refuseSpecial(path: string, info: Stats): void {
  if (info.isFile()) refuseShared(path, info)
  if (info.isFile() || info.isDirectory()) return
  const what = info.isFIFO() ? 'a FIFO' : info.isSocket() ? 'a socket' : 'a device'
  throw Object.assign(new Error(`EFTYPE: ${what} is there, and not a file`), { code: 'EFTYPE', path })
}

/** In a folder that others may enter, a file of theirs, or one that they may write, says what they want. */
function refuseShared(path: string, { mode, uid, gid }: Stats): void {
  const trusted = new Set([0, process.geteuid?.() ?? uid, statSync(dirname(path)).uid])
  const byAll = (mode & 0o002) !== 0
  const byGroup = (mode & 0o020) !== 0 && !isOwnGroup(gid, trusted)
  if (trusted.has(uid) && !byAll && !byGroup) return
  const who = !trusted.has(uid) ? `its owner, ${nameOf(uid)}` : byAll ? 'every user' : `its group (gid ${gid})`
  const message = `EXPOSED: it may be changed by ${who} (mode ${(mode & 0o777).toString(8)})`
  throw Object.assign(new Error(message), { code: 'EXPOSED', path })
}
