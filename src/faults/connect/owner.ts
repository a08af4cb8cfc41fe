/** Whose a lease is, for the application that grants it and for whoever asks it. */
import { createHash } from 'node:crypto'

/** What `GET /v1/leases` shows of a key, by which whoever has the key knows his lease again. */
export function ownerOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
