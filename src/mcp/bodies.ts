/** Bodies of HTTP messages that must be held whole to be looked at, up to a bound. */
import type { IncomingMessage } from 'node:http'

export interface Held {
  body: Buffer
  /** Undefined when `body` is everything; else what comes after it. */
  rest: AsyncIterable<Buffer> | undefined
}

/** What all bodies of a proxy may take together, so that many clients cost no more memory than one. */
export class Room {
  #free: number

  constructor(bytes: number) {
    this.#free = bytes
  }

  get free(): number {
    return this.#free
  }

  /** False where so much is not left; what was taken is given back by `give`. */
  take(bytes: number): boolean {
    if (bytes > this.#free) return false
    this.#free -= bytes
    return true
  }

  give(bytes: number): void {
    this.#free += bytes
  }
}

/** Room that one exchange has taken, given back at its end. */
export class Share {
  readonly #room: Room
  #taken = 0

  constructor(room: Room) {
    this.#room = room
  }

  take(bytes: number): boolean {
    if (!this.#room.take(bytes)) return false
    this.#taken += bytes
    return true
  }

  /** As much as is wanted, but never more than a part of what is left: others come, too. */
  takeUpTo(bytes: number): number {
    const some = Math.min(bytes, Math.floor(this.#room.free / 4))
    return this.take(some) ? some : 0
  }

  end(): void {
    this.#room.give(this.#taken)
    this.#taken = 0
  }
}

/** Reads no further than the piece that goes beyond `most` bytes, or beyond the room that there is. */
export async function holdBody(stream: IncomingMessage, most: number, share: Share): Promise<Held> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of pieces(stream)) {
    chunks.push(chunk)
    size += chunk.length
    if (size > most || !share.take(chunk.length)) return { body: Buffer.concat(chunks), rest: pieces(stream) }
  }
  return { body: Buffer.concat(chunks), rest: undefined }
}

/** The stream is not destroyed when its reader stops: there is more to be done with it. */
function pieces(stream: IncomingMessage): AsyncIterable<Buffer> {
  return stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
}
