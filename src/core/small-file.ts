/** Reads a small file that a configuration names: a plain one, links followed, and never more of it than its bound. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** Larger than any certificate, key or bundle of them. */
const MOST_BYTES = 2 ** 20

/** Throws for a FIFO, a socket or a device, whose reader would wait for ever or never come to its end, and for what is larger. */
export function readSmallFile(file: string, most = MOST_BYTES): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  try {
    if (!fstatSync(fd).isFile()) throw new Error(`${file} is not a file`)
    const bytes = Buffer.alloc(most + 1)
    let length = 0
    for (let read = 1; read > 0 && length <= most; length += read)
      read = readSync(fd, bytes, length, most + 1 - length, null)
    if (length > most) throw new Error(`${file} is larger than ${most / 2 ** 10} KiB`)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(fd)
  }
}
