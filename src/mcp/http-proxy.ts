/** Between an MCP client and an MCP server over streamable HTTP: requests pass as they are, calls of tools meet the faults. */
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { messageOf } from '../core/errors.ts'
import { eventsOf, sseFrames } from '../faults/adapters/sse.ts'
import { MessageTooLargeError } from './lines.ts'
import { readMessage } from './message.ts'
import type { Id } from './message.ts'
import type { Answer, ToolFaults } from './tool-faults.ts'

export interface HttpProxyOptions {
  /** The server; the path is the client's own. */
  upstream: URL
  faults: ToolFaults
  mostMessageBytes: number
}

/** Not listening yet. */
export function httpProxy(options: HttpProxyOptions): Server {
  const open = new Map<string, AbortController>()
  return createServer((request, response) => {
    new Exchange(options, open, request, response).run().catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else
        response
          .writeHead(error instanceof MessageTooLargeError ? 413 : 502, { 'content-type': 'text/plain' })
          .end(`chaos mcp-proxy: ${messageOf(error)}\n`)
    })
  })
}

/** One request and its answer. */
class Exchange {
  readonly #options: HttpProxyOptions
  readonly #open: Map<string, AbortController>
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #gone = new AbortController()

  constructor(
    options: HttpProxyOptions,
    open: Map<string, AbortController>,
    request: IncomingMessage,
    response: ServerResponse,
  ) {
    ;[this.#options, this.#open, this.#request, this.#response] = [options, open, request, response]
    response.on('close', () => this.#gone.abort())
  }

  async run(): Promise<void> {
    const body = await readAll(this.#request, this.#options.mostMessageBytes)
    const message = this.#request.method === 'POST' ? readMessage(body.toString()) : undefined
    if (message?.kind === 'tool_call') return this.#call(message.id, message.tool, body)
    if (message?.kind === 'cancellation') this.#open.get(this.#key(message.id))?.abort()
    await this.#pass(await this.#forward(body))
  }

  async #call(id: Id, tool: string, body: Buffer): Promise<void> {
    const key = this.#key(id)
    this.#open.set(key, this.#gone)
    /** Puts the answer in its place; until the server has been asked, a place of our own. */
    let place = (text: Buffer | string): void => void this.#response.writeHead(200, JSON_TYPE).end(text)
    let rest: Promise<void> | undefined
    try {
      const send = async (): Promise<Answer> => {
        const upstream = await this.#forward(body)
        const type = upstream.headers['content-type'] ?? ''
        if (type.includes('text/event-stream')) {
          this.#head(upstream)
          return new Promise((resolve, reject) => {
            rest = this.#events(upstream, id, (answer, put) => {
              place = put
              resolve(answer)
            })
            rest.then(() => reject(new Error('the MCP server ended the stream without an answer')), reject)
          })
        }
        const raw = await readAll(upstream, this.#options.mostMessageBytes)
        place = (text) => {
          this.#head(upstream, Buffer.byteLength(text))
          this.#response.end(text)
        }
        const message = readMessage(raw.toString())
        // A refusal of the server itself, say: it has no result to be changed.
        return { raw, body: message.kind === 'answer' ? message.body : {} }
      }
      const text = await this.#options.faults.call(tool, id, send, this.#gone.signal)
      place(text)
      await rest
    } catch (error) {
      // The stream told the client everything there was; or nobody is left to tell.
      if (this.#gone.signal.aborted || this.#response.headersSent) this.#response.end()
      else throw error
    } finally {
      this.#open.delete(key)
    }
  }

  /** Passes events; the one with the answer waits until it is put. */
  async #events(
    upstream: IncomingMessage,
    id: Id,
    found: (answer: Answer, put: (text: Buffer | string) => void) => void,
  ): Promise<void> {
    for await (const event of eventsOf(upstream as AsyncIterable<Uint8Array>)) {
      const message = readMessage(sseFrames.dataOf(event) ?? '')
      if (message.kind !== 'answer' || message.id !== id) await this.#write(event)
      else {
        const raw = Buffer.from(event)
        const text = await new Promise<Buffer | string>((put) => found({ raw, body: message.body }, put))
        await this.#write(text === raw ? event : sseFrames.withData(event, text.toString().trimEnd()))
      }
    }
    this.#response.end()
  }

  async #write(text: string): Promise<void> {
    if (this.#response.write(text) || this.#gone.signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#response.once('drain', resolve)
      this.#gone.signal.addEventListener('abort', () => resolve())
    })
  }

  async #pass(upstream: IncomingMessage): Promise<void> {
    this.#response.writeHead(upstream.statusCode ?? 502, upstream.rawHeaders)
    this.#response.flushHeaders()
    await pipeline(upstream, this.#response)
  }

  #head(upstream: IncomingMessage, length?: number): void {
    const headers = { ...upstream.headers }
    delete headers['transfer-encoding']
    delete headers['content-length']
    if (length !== undefined) headers['content-length'] = String(length)
    this.#response.writeHead(upstream.statusCode ?? 502, headers)
    if (length === undefined) this.#response.flushHeaders()
  }

  #forward(body: Buffer): Promise<IncomingMessage> {
    const { upstream } = this.#options
    const { method, url = '/', headers } = this.#request
    const send = upstream.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((resolve, reject) => {
      const forwarded = send(new URL(url, upstream), {
        method,
        // Its answer is read by us too.
        headers: { ...headers, host: upstream.host, 'accept-encoding': 'identity' },
        signal: this.#gone.signal,
      })
      forwarded.on('response', resolve).on('error', reject).end(body)
    })
  }

  /** Ids are the session's own. */
  #key(id: Id): string {
    return JSON.stringify([this.#request.headers['mcp-session-id'], id])
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }

async function readAll(stream: IncomingMessage, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > most)
      throw new MessageTooLargeError(
        `a message is larger than ${most} bytes, which is as much as is held in memory: allow more with --max-message-bytes`,
      )
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
