/** Bodies of HTTP messages that must be held whole to be looked at, up to a bound. */
import type { IncomingMessage } from 'node:http'

export interface Held {
  body: Buffer
  /** Undefined when `body` is everything; else what comes after it. */
  rest: AsyncIterable<Buffer> | undefined
}

/** Reads no further than the piece that goes beyond `most` bytes. */
export async function holdBody(stream: IncomingMessage, most: number): Promise<Held> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of pieces(stream)) {
    chunks.push(chunk)
    size += chunk.length
    if (size > most) return { body: Buffer.concat(chunks), rest: pieces(stream) }
  }
  return { body: Buffer.concat(chunks), rest: undefined }
}

/** The stream is not destroyed when its reader stops: there is more to be done with it. */
function pieces(stream: IncomingMessage): AsyncIterable<Buffer> {
  return stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
}
