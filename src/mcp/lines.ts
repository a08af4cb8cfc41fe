/** A byte stream line by line, each with its newline: what is written again is byte for byte what was read. */
const NEWLINE = 0x0a

/** One line is larger than may be held in memory. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError'
}

/** The last line may have no newline. Throws MessageTooLargeError beyond `most` bytes. */
export async function* linesOf(source: AsyncIterable<Buffer>, most: number): AsyncGenerator<Buffer, void> {
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      parts.push(chunk.subarray(from, at + 1))
      check(size + at + 1 - from, most)
      yield Buffer.concat(parts)
      ;[parts, size, from] = [[], 0, at + 1]
    }
    if (from === chunk.length) continue
    parts.push(chunk.subarray(from))
    size += chunk.length - from
    check(size, most)
  }
  if (size > 0) yield Buffer.concat(parts)
}

function check(size: number, most: number): void {
  if (size > most) throw tooLarge(most)
}

export function tooLarge(most: number): MessageTooLargeError {
  return new MessageTooLargeError(
    `a message is larger than ${most} bytes, which is as much as is held in memory: allow more with --max-message-bytes`,
  )
}
