/** Names that are made here: of installations, of runs, and of what is temporary. */
import { randomBytes } from 'node:crypto'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

/** Random letters and digits for names; `length` at most 32. */
export function randomName(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % 32]).join('')
}

export function mintInstall(): string {
  return randomName(6)
}

/** `261122t035310x7k2`: sorts by time, unique within an install. */
export function mintRun(now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]/g, '').slice(2, 15).toLowerCase()
  return `${stamp}${randomName(4)}`
}
