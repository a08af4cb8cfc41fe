/** Between an MCP client and an MCP server over streamable HTTP: requests pass as they are, calls of tools meet the faults. */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { messageOf } from '../core/errors.ts'
import { oneLine } from '../core/foreign.ts'
import { eventsOf, sseFrames } from '../faults/adapters/sse.ts'
import { holdBody, Room, Share } from './bodies.ts'
import { ownHeaders, refusalOf } from './gate.ts'
import type { GateOptions } from './gate.ts'
import { MessageTooLargeError, tooLarge } from './lines.ts'
import { readMessage } from './message.ts'
import type { Id } from './message.ts'
import type { Answer, ToolFaults } from './tool-faults.ts'
import { passedOn, Upstream } from './upstream.ts'

export interface HttpProxyOptions {
  /** The server; the path is the client's own. */
  upstream: URL
  faults: ToolFaults
  /** A larger request is refused; a larger answer passes as it is, without faults. */
  mostMessageBytes: number
  /** Who may use it; only this machine's own programs unless told. */
  gate?: Omit<GateOptions, 'path'>
  /** Added to each request to the server: what it wants of whoever may use the proxy. */
  headers?: Record<string, string>
}

const CONNECTIONS = 64
/** Bytes of all bodies that are held at once, where one alone is not larger. */
const ROOM = 64 * 2 ** 20

/** Not listening yet. */
export function httpProxy({ upstream, faults, mostMessageBytes, gate: own, headers = {} }: HttpProxyOptions): Server {
  const gate: GateOptions = { host: '127.0.0.1', ...own, path: upstream.pathname }
  const room = new Room(Math.max(ROOM, mostMessageBytes))
  const open = new Map<string, AbortController>()
  const parts = { upstream: new Upstream(upstream, headers), faults, mostMessageBytes, open, room, token: gate.token }
  const server = createServer((request, response) => {
    const refused = refusalOf(request, gate)
    if (refused) {
      response.writeHead(refused.status, { 'content-type': 'text/plain', connection: 'close' })
      response.end(`chaos mcp-proxy: ${oneLine(refused.reason)}\n`)
      return
    }
    new Exchange(parts, request, response).run().catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else
        response
          .writeHead(statusOf(error), { 'content-type': 'text/plain' })
          .end(`chaos mcp-proxy: ${oneLine(messageOf(error))}\n`)
    })
  })
  server.maxConnections = CONNECTIONS
  return server
}

/** No room for another body: it may come again. */
class BusyError extends Error {}

function statusOf(error: unknown): number {
  return error instanceof BusyError ? 503 : error instanceof MessageTooLargeError ? 413 : 502
}

interface Parts {
  upstream: Upstream
  faults: ToolFaults
  mostMessageBytes: number
  /** What ends the waits of calls that are not answered yet, by session and id. */
  open: Map<string, AbortController>
  room: Room
  token: string | undefined
}

/** The answer that faults may change, and how the outcome gets into its place. */
interface Found {
  answer: Answer
  put: (text: Buffer | string) => void
}

/** Nothing that a fault could change. */
const NOTHING: Found = { answer: { raw: Buffer.alloc(0), body: {} }, put: () => undefined }

/** One request and its answer. */
class Exchange {
  readonly #parts: Parts
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  /** The client has gone, or has got everything: the request to the server ends. */
  readonly #gone = new AbortController()
  /** Ends injected waits: the client is gone, or has cancelled the call. */
  readonly #given = new AbortController()
  /** The part of the server's answer that passes while faults look at the other. */
  #passing: Promise<void> | undefined
  readonly #share: Share

  constructor(parts: Parts, request: IncomingMessage, response: ServerResponse) {
    ;[this.#parts, this.#request, this.#response] = [parts, request, response]
    this.#share = new Share(parts.room)
    response.on('close', () => {
      this.#share.end()
      this.#gone.abort()
      this.#given.abort()
    })
  }

  async run(): Promise<void> {
    const most = this.#parts.mostMessageBytes
    const { body, rest } = await holdBody(this.#request, most, this.#share)
    if (rest !== undefined && body.length <= most)
      throw new BusyError(`all bodies together would have more than ${Math.max(ROOM, most)} bytes; come again`)
    if (rest !== undefined) throw tooLarge(most)
    const message = this.#request.method === 'POST' ? readMessage(body.toString()) : undefined
    if (message?.kind === 'tool_call') return this.#call(message.id, message.tool, body)
    if (message?.kind === 'cancellation') this.#parts.open.get(this.#key(message.id) ?? '')?.abort()
    const upstream = await this.#forward(body, false)
    this.#head(upstream)
    await pipeline(upstream, this.#response)
  }

  async #call(id: Id, tool: string, body: Buffer): Promise<void> {
    const key = this.#key(id)
    if (key !== undefined) this.#parts.open.set(key, this.#given)
    let asked: Promise<Found> | undefined
    let found = NOTHING
    const send = async (): Promise<Answer> => {
      asked = this.#ask(body, id)
      found = await Promise.race([asked, this.#cancelled()])
      return found.answer
    }
    try {
      const text = await this.#parts.faults.call(tool, id, send, this.#given.signal)
      if (asked === undefined) this.#response.writeHead(200, { 'content-type': 'application/json' }).end(text)
      else {
        const { answer, put } = await asked
        put(answer === found.answer ? text : answer.raw)
      }
      await this.#passing
    } catch (error) {
      if (!this.#given.signal.aborted || this.#response.headersSent) throw error
      // Cancelled: there is no answer, and the client does not wait for one.
      this.#response.writeHead(200, { 'content-type': 'text/event-stream' }).end()
    } finally {
      if (key !== undefined && this.#parts.open.get(key) === this.#given) this.#parts.open.delete(key)
    }
  }

  /** The server has the call: for faults it is over then, and whatever still comes passes as it is. */
  #cancelled(): Promise<Found> {
    return new Promise((resolve) => this.#given.signal.addEventListener('abort', () => resolve(NOTHING)))
  }

  async #ask(body: Buffer, id: Id): Promise<Found> {
    const upstream = await this.#forward(body, true)
    const isStream = (upstream.headers['content-type'] ?? '').includes('text/event-stream')
    return isStream ? this.#inStream(upstream, id) : this.#inBody(upstream)
  }

  /** Events pass; the one with the answer waits until it is put. */
  #inStream(upstream: IncomingMessage, id: Id): Promise<Found> {
    this.#head(upstream, ['content-length'])
    const most = this.#share.takeUpTo(this.#parts.mostMessageBytes)
    return new Promise((resolve) => {
      let looking = true
      const found = (what: Found): void => {
        looking = false
        resolve(what)
      }
      async function* events(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
        for await (const event of eventsOf(source, most)) {
          const data = looking ? sseFrames.dataOf(event) : undefined
          const message = readMessage(data ?? '')
          if (message.kind !== 'answer' || message.id !== id) {
            yield event.bytes
            continue
          }
          const raw = Buffer.from(event.bytes)
          const { body } = message
          const text = await new Promise<Buffer | string>((put) => found({ answer: { raw, body }, put }))
          yield text === raw ? raw : sseFrames.withData(event, text.toString().trimEnd()).bytes
        }
      }
      this.#passing = pipeline(upstream, events, this.#response).finally(() => found(NOTHING))
      // Whoever asked for the answer sees the error; this one only must not be alone when it comes early.
      this.#passing.catch(() => undefined)
    })
  }

  async #inBody(upstream: IncomingMessage): Promise<Found> {
    const { body: raw, rest } = await holdBody(upstream, this.#parts.mostMessageBytes, this.#share)
    if (rest !== undefined) {
      this.#head(upstream)
      this.#response.write(raw)
      this.#passing = pipeline(rest, this.#response)
      this.#passing.catch(() => undefined)
      return NOTHING
    }
    const message = readMessage(raw.toString())
    const put = (text: Buffer | string): void => {
      if (text === raw) this.#head(upstream)
      else this.#head(upstream, ['content-length'])
      this.#response.end(text)
    }
    // A refusal of the server itself, say: it has no result to be changed.
    return { answer: { raw, body: message.kind === 'answer' ? message.body : {} }, put }
  }

  #head(upstream: IncomingMessage, without: readonly string[] = []): void {
    const headers = passedOn(upstream.rawHeaders, without)
    this.#response.writeHead(upstream.statusCode ?? 502, upstream.statusMessage ?? '', headers).flushHeaders()
  }

  #forward(body: Buffer, readable: boolean): Promise<IncomingMessage> {
    const without = ownHeaders(this.#request, this.#parts.token)
    return this.#parts.upstream.forward(this.#request, { body, signal: this.#gone.signal, readable, without })
  }

  /** Ids are the session's own. Where there are no sessions, nobody can say whose call a cancellation means. */
  #key(id: Id): string | undefined {
    const session = this.#request.headers['mcp-session-id']
    return session === undefined ? undefined : JSON.stringify([session, id])
  }
}
