/** The line format of a journal: every line verifies alone, and names the checksum of the one before (README.md). */
import { crc32 } from 'node:zlib'

/** The checksum that the first line names as its predecessor's. */
export const CHAIN_START = '00000000'

/** The longest JSON text of one record, bytes: a step (1 MiB) and its envelope. */
export const MAX_RECORD_BYTES = 2 ** 20 + 2 ** 16

export interface Line {
  seq: number
  prev: string
  crc: string
  json: string
}

/** `<length> <prev-crc32> <crc32> <seq> <json>\n` */
export function encodeLine(seq: number, prev: string, json: string): { bytes: Buffer; crc: string } {
  const length = Buffer.byteLength(json)
  const crc = checksum(length, prev, seq, json)
  return { bytes: Buffer.from(`${length} ${prev} ${crc} ${seq} ${json}\n`), crc }
}

const HEAD = /^(\d{1,8}) ([0-9a-f]{8}) ([0-9a-f]{8}) (\d{1,15}) /

/** One line without its newline; undefined when it is damaged in any way. */
export function decodeLine(bytes: Buffer): Line | undefined {
  const head = HEAD.exec(bytes.subarray(0, 64).toString('latin1'))
  if (!head) return undefined
  const [all, length, prev, crc, seq] = head as unknown as [string, string, string, string, string]
  const body = bytes.subarray(all.length)
  if (body.length !== Number(length)) return undefined
  const json = body.toString('utf8')
  if (checksum(Number(length), prev, Number(seq), json) !== crc) return undefined
  return { seq: Number(seq), prev, crc, json }
}

function checksum(length: number, prev: string, seq: number, json: string): string {
  return crc32(json, crc32(`${length} ${prev} ${seq} `))
    .toString(16)
    .padStart(8, '0')
}
