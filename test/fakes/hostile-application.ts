/** An application that answers whatever a test wants it to: on a socket, as a real one would be found. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A text is sent as it is, a function sends by itself, anything else as JSON. */
export type Answer = string | Json | null | ((response: ServerResponse) => void)
type Json = { [key: string]: unknown } | readonly unknown[]

/** What a well-behaved one answers to each path. */
export const HELLO = {
  ...{ protocol: 1, app: 'shop', instance: 'i1', pid: process.pid, started_at: '', process: null },
  components: [{ name: 'pay', calls: 3 }],
}

export class HostileApplication {
  readonly dir = mkdtempSync(join(tmpdir(), 'chaos-hostile-'))
  readonly config = { app: 'shop', socket: join(this.dir, 'shop.sock') }
  /** By request, e.g. `GET /v1/hello`; others are answered well. */
  answers: Record<string, { status?: number; body: Answer } | undefined> = {}
  readonly asked: string[] = []
  readonly #server: Server = createServer((request, response) => {
    const what = `${request.method ?? ''} ${request.url ?? ''}`
    this.asked.push(what)
    let body = ''
    request.on('data', (bytes: Buffer) => (body += bytes.toString()))
    request.on('end', () => {
      const { status = 200, body: answer } = this.answers[what] ?? { body: this.#well(what, body) }
      if (typeof answer === 'function') {
        answer(response)
        return
      }
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer))
    })
    response.on('error', () => undefined)
  })

  #well(what: string, body: string): Answer {
    if (what === 'GET /v1/hello') return HELLO
    if (what === 'GET /v1/leases') return { leases: [] }
    if (what === 'POST /v1/end') return { ended: [] }
    return { mark: (JSON.parse(body) as { mark: string }).mark }
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.config.socket, resolve))
    return this
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** One byte every 200 ms, for ever. */
export function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => response.write(' '), 200)
  response.on('close', () => clearInterval(timer))
}

/** As many bytes as anybody takes. */
export function flood(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  const more = (): void => {
    while (!response.destroyed && response.write(' '.repeat(64 * 1024)));
  }
  response.on('drain', more)
  more()
}
