/** Server-sent events one by one, each with the blank line after it: what is not changed stays byte for byte what it was. */
import type { Frames } from './inside-stream.ts'

export interface SseEvent {
  readonly bytes: Uint8Array
  /** False: a piece of an event that is larger than may be held, or what is left of a line end. It only passes. */
  readonly whole: boolean
}

const LF = 0x0a
const CR = 0x0d

/** Holds no more than `most` bytes and what has come last: a larger event comes in pieces. */
export async function* eventsOf(source: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<SseEvent, void> {
  const ends = new EventEnds()
  let held: Uint8Array[] = []
  let size = 0
  let whole = true
  for await (const chunk of source) {
    let from = 0
    for (let end = ends.next(chunk, 0); end !== undefined; end = ends.next(chunk, end)) {
      held.push(chunk.subarray(from, end))
      yield { bytes: joined(held), whole: whole && size + end - from <= most && !ends.restOfLineEnd }
      ;[held, size, from, whole] = [[], 0, end, true]
    }
    if (from === chunk.length) continue
    held.push(chunk.subarray(from))
    size += chunk.length - from
    if (size <= most) continue
    yield { bytes: joined(held), whole: false }
    ;[held, size, whole] = [[], most, false]
  }
  if (held.length > 0) yield { bytes: joined(held), whole: false }
}

/** Finds where events end in bytes that come piece by piece: after a blank line, whichever of the three line ends there are. */
class EventEnds {
  /** The end that was found last is only the LF of a CR LF whose CR ended the event. */
  restOfLineEnd = false
  #blank = true
  #previous = LF
  /** An event has ended with the last byte. */
  #ended = true

  /** Where the event ends that goes on at `from`; undefined when not in this chunk. */
  next(chunk: Uint8Array, from: number): number | undefined {
    for (let i = from; i < chunk.length; i++) {
      const byte = chunk[i]
      const isRest = byte === LF && this.#previous === CR
      const hadEnded = this.#ended
      this.#previous = byte ?? LF
      this.#ended = false
      if (isRest) {
        this.restOfLineEnd = hadEnded
        if (hadEnded) return i + 1
        continue
      }
      if (byte !== LF && byte !== CR) {
        this.#blank = false
        continue
      }
      if (!this.#blank) {
        this.#blank = true
        continue
      }
      this.restOfLineEnd = false
      if (byte === CR && chunk[i + 1] === LF) this.#previous = chunk[++i] ?? LF
      this.#ended = byte === CR && this.#previous === CR
      return i + 1
    }
    return undefined
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const LINE_END = /\r\n|\n|\r/

export const sseFrames: Frames<SseEvent> = {
  dataOf({ bytes, whole }) {
    if (!whole) return undefined
    const lines = linesOf(bytes).filter((line) => line.startsWith('data:'))
    return lines.length === 0 ? undefined : lines.map((line) => line.slice('data:'.length).replace(/^ /, '')).join('\n')
  },
  withData({ bytes }, data) {
    const others = linesOf(bytes).filter((line) => line !== '' && !line.startsWith('data:'))
    const text = [...others, ...data.split('\n').map((line) => `data: ${line}`)].join('\n')
    return { bytes: new TextEncoder().encode(`${text}\n\n`), whole: true }
  },
}

function linesOf(bytes: Uint8Array): string[] {
  return new TextDecoder().decode(bytes).split(LINE_END)
}
