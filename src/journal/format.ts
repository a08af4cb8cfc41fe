/** The line format of a journal: every line verifies alone, and names the checksum of the one before (README.md). */
import { crc32 } from 'node:zlib'

/** The checksum that the first line names as its predecessor's. */
export const CHAIN_START = '00000000'

/** The longest JSON text of one record, bytes: a step (1 MiB) and its envelope. */
export const MAX_RECORD_BYTES = 2 ** 20 + 2 ** 16

/** Longer than any line that is written. More bytes than that without a newline are damage. */
export const MAX_LINE_BYTES = MAX_RECORD_BYTES + 64

/** Longer than any single write. A file that goes on for longer without a record is read no further. */
export const MAX_TAIL_BYTES = 2 ** 28

export interface Line {
  seq: number
  prev: string
  crc: string
  json: string
}

/** `<length> <prev-crc32> <crc32> <seq> <json>\n` */
export function encodeLine(seq: number, prev: string, json: string): { bytes: Buffer; crc: string } {
  const { text, crc } = lineOf(seq, prev, json)
  return { bytes: Buffer.from(text), crc }
}

/** The same as text: many lines become bytes at once, which is cheaper. */
export function lineOf(seq: number, prev: string, json: string): { text: string; crc: string } {
  const length = Buffer.byteLength(json)
  const crc = checksum(length, prev, seq, json)
  return { text: `${length} ${prev} ${crc} ${seq} ${json}\n`, crc }
}

const HEAD = /^(\d{1,8}) ([0-9a-f]{8}) ([0-9a-f]{8}) (\d{1,15}) /

/** One line without its newline; undefined when it is damaged in any way. */
export function decodeLine(bytes: Buffer): Line | undefined {
  const head = HEAD.exec(bytes.subarray(0, 64).toString('latin1'))
  if (!head) return undefined
  const [all, length, prev, crc, seq] = head as unknown as [string, string, string, string, string]
  const body = bytes.subarray(all.length)
  if (body.length !== Number(length)) return undefined
  // Over the bytes: what is not UTF-8 any more must not be checked as the text it is read as.
  if (checksum(Number(length), prev, Number(seq), body) !== crc) return undefined
  return { seq: Number(seq), prev, crc, json: body.toString('utf8') }
}

/**
 * Whether an unreadable line was once a whole record. A write that a crash cut off ends early or in zeros; what has its
 * newline, or more bytes than its length says, was acknowledged and has been damaged since.
 */
export function wasWhole(bytes: Buffer, hasNewline: boolean): boolean {
  if (bytes.includes('\0\0')) return false
  if (hasNewline) return true
  const head = HEAD.exec(bytes.subarray(0, 64).toString('latin1'))
  return head !== null && bytes.length > head[0].length + Number(head[1])
}

/** Of a text, that of its bytes in UTF-8. */
function checksum(length: number, prev: string, seq: number, body: Buffer | string): string {
  return crc32(body, crc32(`${length} ${prev} ${seq} `))
    .toString(16)
    .padStart(8, '0')
}
