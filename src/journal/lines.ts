/** The lines of a journal file, without holding more than one of them. */
import type { Disk } from './disk.ts'
import { MAX_LINE_BYTES } from './format.ts'

const CHUNK = 2 ** 18

export interface RawLine {
  /** Without its newline. */
  bytes: Buffer
  offset: number
  /** Whether it has its newline; only the last one may lack it, and what is too long for a line. */
  whole: boolean
}

export async function* linesOf(file: string, disk: Disk): AsyncGenerator<RawLine> {
  const handle = await disk.open(file, 'read')
  try {
    let rest: Buffer = Buffer.alloc(0)
    let offset = 0
    for (let position = 0; ;) {
      const chunk = await handle.read(position, CHUNK)
      if (chunk.length === 0) break
      position += chunk.length
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      let start = 0
      for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10, start)) {
        yield { bytes: rest.subarray(start, newline), offset: offset + start, whole: true }
        start = newline + 1
      }
      offset += start
      rest = rest.subarray(start)
      if (rest.length > MAX_LINE_BYTES) {
        yield { bytes: rest, offset, whole: false }
        offset += rest.length
        rest = Buffer.alloc(0)
      }
    }
    if (rest.length > 0) yield { bytes: rest, offset, whole: false }
  } finally {
    await handle.close()
  }
}
