/** A webhook receiver on loopback that answers as a test wants, and remembers what it got. */
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export interface Got {
  url: string
  headers: IncomingHttpHeaders
  body: string
}

/** A status with headers; `never` answers; `close` ends the socket in the middle of its answer. */
export type Answer = { status: number; headers?: Record<string, string> } | 'never' | 'close' | 'endless'

export class Receiver {
  readonly got: Got[] = []
  answer: Answer = { status: 204 }
  #server: Server | undefined
  #port = 0

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook`
  }

  /** Starts it, at the same port as before. */
  async start(): Promise<this> {
    const server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (text: string) => (body += text))
      request.on('end', () => {
        this.got.push({ url: request.url ?? '', headers: request.headers, body })
        const { answer } = this
        if (answer === 'never') return
        if (answer === 'close') {
          response.writeHead(200, { 'content-length': '1000' }).write('half of ')
          setTimeout(() => request.socket.destroy(), 5)
        } else if (answer === 'endless') {
          const more = setInterval(() => response.write('x'.repeat(1_000)), 5)
          response.on('close', () => clearInterval(more))
        } else response.writeHead(answer.status, answer.headers).end()
      })
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve))
    this.#port = (server.address() as AddressInfo).port
    return this
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  static async of(t: TestContext, answer?: Answer): Promise<Receiver> {
    const receiver = await new Receiver().start()
    if (answer !== undefined) receiver.answer = answer
    t.after(() => receiver.stop())
    return receiver
  }
}
