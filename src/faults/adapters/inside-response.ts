/** The data of a HTTP answer is its body: JSON and text as a whole, event streams event by event, the rest as bytes. */
import type { Change } from '../call.ts'
import { breaksStreams } from '../fault.ts'
import { terminated } from '../socket.ts'
import { eventsOf, sseFrames } from './sse.ts'
import { insideStream } from './inside-stream.ts'

/** A body said to be larger, or an event that is, is left alone rather than held in memory. */
const MOST_BYTES = 64 * 2 ** 20

export async function insideResponse(response: Response, change: Change): Promise<Response> {
  const { body } = response
  if (body === null) return response
  const type = response.headers.get('content-type') ?? ''
  if (type.includes('text/event-stream')) {
    const given = new AbortController()
    const broken: Change = {
      ...change,
      stream: (items) => change.stream(items, { signal: given.signal, asError: terminated }),
    }
    const events = insideStream(eventsOf(body, MOST_BYTES), sseFrames, broken)
    return withBody(
      response,
      streamOf(events, ({ bytes }) => bytes, given),
    )
  }
  if (change.fault.mode === 'cut_stream' || breaksStreams(change.fault))
    return withBody(response, change.stream(body, { asError: terminated }) as ReadableStream)
  if (Number(response.headers.get('content-length') ?? 0) > MOST_BYTES) return response
  const isText = /^text\/|json|xml/.test(type)
  const bytes = new Uint8Array(await response.arrayBuffer())
  const other = isText ? changedText(new TextDecoder().decode(bytes), change) : change.value(bytes)
  return withBody(response, other as string | Uint8Array<ArrayBuffer>)
}

/** Fields and items can only be missing from data, not from its text. */
function changedText(text: string, change: Change): unknown {
  if (change.fault.mode !== 'drop') return change.value(text)
  try {
    return JSON.stringify(change.value(JSON.parse(text)))
  } catch {
    return change.value(text)
  }
}

/** The body is read and decoded already: what said how long it was, and how it was packed, is no longer true. */
function withBody(response: Response, body: string | Uint8Array<ArrayBuffer> | ReadableStream): Response {
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  headers.delete('content-encoding')
  const { status, statusText, url, redirected } = response
  const other = new Response(body, { status, statusText, headers })
  return Object.defineProperties(other, { url: { value: url }, redirected: { value: redirected } })
}

/** A web stream that reads no more than it is asked for. */
export function streamOf<T, U>(
  items: AsyncGenerator<T, void>,
  each: (item: T) => U,
  /** Aborted when nobody reads any more: a stall ends. */
  given?: AbortController,
): ReadableStream<U> {
  return new ReadableStream<U>(
    {
      async pull(controller) {
        const step = await items.next()
        if (step.done === true) controller.close()
        else controller.enqueue(each(step.value))
      },
      async cancel() {
        given?.abort()
        await items.return()
      },
    },
    { highWaterMark: 0 },
  )
}
