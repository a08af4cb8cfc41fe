/** The MCP server behind a HTTP proxy: requests go to it as they came, but for what concerns one connection only. */
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { urlToHttpOptions } from 'node:url'

export interface ForwardOptions {
  body: Buffer
  /** Aborted: the request is cancelled, and an answer that is on its way breaks off. */
  signal: AbortSignal
  /** The answer will be read here, so it must not be packed. */
  readable: boolean
  /** Headers that were for the proxy. */
  without: readonly string[]
}

export class Upstream {
  readonly #url: URL
  readonly #headers: Record<string, string>
  /**
   * A connection for each request: one that is kept may be closed by the server just when it is used again, and then
   * nobody knows whether the call has reached it.
   */
  readonly #agent: HttpAgent

  constructor(url: URL, headers: Record<string, string> = {}) {
    this.#url = url
    this.#headers = headers
    this.#agent = url.protocol === 'https:' ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false })
  }

  /** Resolves with the head of the answer. The path is the client's own, the host never. */
  forward({ method, url, rawHeaders }: IncomingMessage, { body, signal, readable, without }: ForwardOptions) {
    const replaced = ['host', ...(readable ? ['accept-encoding'] : []), ...(body.length > 0 ? ['content-length'] : [])]
    const added = Object.keys(this.#headers).map((name) => name.toLowerCase())
    const headers = { ...passedOn(rawHeaders, [...replaced, ...without, ...added]), ...this.#headers }
    if (readable) headers['accept-encoding'] = 'identity'
    if (body.length > 0) headers['content-length'] = body.length
    const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest
    const options = { ...urlToHttpOptions(this.#url), path: url, method, headers, signal, agent: this.#agent }
    return new Promise<IncomingMessage>((resolve, reject) => {
      send(options).on('response', resolve).on('error', reject).end(body)
    })
  }
}

/** They are about the connection that they came on. */
const HOP_BY_HOP = [
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** Headers as they came, those left out that must not pass. */
export function passedOn(rawHeaders: readonly string[], without: readonly string[] = []): OutgoingHttpHeaders {
  const passed = new Map<string, { name: string; values: string[] }>()
  const pairs = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : []))
  const named = pairs
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((token) => token.trim().toLowerCase()))
  const dropped = new Set([...HOP_BY_HOP, ...named, ...without])
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase()
    if (dropped.has(lower)) continue
    const known = passed.get(lower)
    if (known) known.values.push(value)
    else passed.set(lower, { name, values: [value] })
  }
  return Object.fromEntries(
    [...passed.values()].map(({ name, values }) => [name, values.length === 1 ? values[0] : values]),
  )
}
