/** Server-sent events as whole events, each with the blank line after it. */
import type { Frames } from './inside-stream.ts'

const END_OF_EVENT = /\r\n\r\n|\n\n|\r\r/

export async function* eventsOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of bytes) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = END_OF_EVENT.exec(text); end !== null; end = END_OF_EVENT.exec(text)) {
      const length = end.index + end[0].length
      yield text.slice(0, length)
      text = text.slice(length)
    }
  }
  text += decoder.decode()
  if (text !== '') yield text
}

export const sseFrames: Frames<string> = {
  dataOf(event) {
    const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
    return lines.length === 0 ? undefined : lines.map((line) => line.slice('data:'.length).trimStart()).join('\n')
  },
  withData(event, data) {
    const others = event.split(/\r\n|\n|\r/).filter((line) => line !== '' && !line.startsWith('data:'))
    return `${[...others, ...data.split('\n').map((line) => `data: ${line}`)].join('\n')}\n\n`
  },
}
