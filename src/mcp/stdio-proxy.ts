/** Between an MCP client and an MCP server over stdio: bytes pass as they are, calls of tools meet the faults. */
import type { Readable, Writable } from 'node:stream'
import { messageOf } from '../core/errors.ts'
import { atMost } from '../core/within.ts'
import { OpenCalls } from './calls.ts'
import { linesOf } from './lines.ts'
import { errorMessage, readMessage } from './message.ts'
import type { Id } from './message.ts'
import { Outlet } from './outlet.ts'
import { exitCodeOf, exitText } from './server-process.ts'
import type { Exit, ServerProcess } from './server-process.ts'
import type { ToolFaults } from './tool-faults.ts'

export interface StdioProxyOptions {
  server: ServerProcess
  client: { input: Readable; output: Writable }
  faults: ToolFaults
  mostMessageBytes: number
  /** Aborted: somebody wants us to end. */
  stop: AbortSignal
  /** Something that whoever runs the proxy must know. */
  say(text: string): void
}

/** JSON-RPC as the SDKs of the protocol say it: there is no connection any more. */
const CONNECTION_CLOSED = -32000
/** A server that has exited may have left somebody who holds its stdout open. */
const LAST_WORDS_MS = 1000
/** So much is read of a client whose server does not read, or its end would never be seen. */
const READ_AHEAD_BYTES = 4 * 2 ** 20
const FAILED = 1

/** Resolves with the exit code of the command: the server's own. */
export function proxyStdio(options: StdioProxyOptions): Promise<number> {
  return new StdioProxy(options).run()
}

class StdioProxy {
  readonly #options: StdioProxyOptions
  readonly #toServer: Outlet
  readonly #toClient: Outlet
  readonly #stopped: Promise<void>
  readonly #open = new OpenCalls()
  /** Bytes of calls that wait for a fault. Beyond one message's limit the client is not read. */
  #held = 0
  #wake = (): void => undefined

  constructor(options: StdioProxyOptions) {
    this.#options = options
    this.#toServer = new Outlet(options.server.stdin, READ_AHEAD_BYTES)
    this.#toClient = new Outlet(options.client.output)
    this.#stopped = new Promise((resolve) => {
      if (options.stop.aborted) resolve()
      options.stop.addEventListener('abort', () => resolve())
    })
  }

  async run(): Promise<number> {
    const { server, client } = this.#options
    const fromClient = this.#pump(client.input, (line) => this.#fromClient(line))
    const fromServer = this.#pump(server.stdout, (line) => this.#fromServer(line))
    const serverEnded = Promise.race([server.exited, fromServer])
    const first = await Promise.race([
      serverEnded.then(() => 'server' as const),
      Promise.race([fromClient, this.#toClient.gone, this.#stopped]).then(() => 'client' as const),
    ])
    // Nobody is left whom a delayed call could serve.
    if (first === 'client') this.#open.endWaits()
    const exit = await this.#endServer(first, fromServer)
    const problem = await this.#problem(first, fromClient, fromServer)
    if (first === 'server' || problem !== undefined)
      await this.#answerOpen(problem ?? `the MCP server has ended (${exitText(exit)})`)
    client.input.destroy()
    return problem === undefined ? exitCodeOf(exit) : FAILED
  }

  async #endServer(first: 'server' | 'client', fromServer: Promise<unknown>): Promise<Exit> {
    const { server, stop } = this.#options
    const exit = await server.stop(stop)
    if (first === 'client' && exit.signal === 'SIGKILL')
      this.#options.say('the MCP server did not end after its stdin was closed, nor after SIGTERM: it was killed')
    await this.#lastWords(fromServer)
    return exit
  }

  /** Everything that the server has still written, for as long as a client takes that reads slowly. */
  async #lastWords(fromServer: Promise<unknown>): Promise<void> {
    const ended = fromServer.then(() => true)
    for (;;) {
      const over = await atMost(
        LAST_WORDS_MS,
        () => ended,
        () => false,
      )
      if (over || !this.#toClient.full || this.#options.stop.aborted) return
    }
  }

  /** What went wrong in the proxy itself, said once. */
  async #problem(first: 'server' | 'client', ...pumps: Promise<Error | undefined>[]): Promise<string | undefined> {
    // A client that lives is not waited for.
    const ended = await Promise.all(pumps.map((pump) => Promise.race([pump, Promise.resolve(undefined)])))
    const error = ended.find((e) => e !== undefined)
    if (error === undefined) return undefined
    this.#options.say(`${first === 'client' ? 'from the client' : 'from the MCP server'}: ${messageOf(error)}`)
    return messageOf(error)
  }

  async #answerOpen(why: string): Promise<void> {
    for (const id of this.#open.end()) {
      const line = asLine(errorMessage(id, CONNECTION_CLOSED, `Connection closed: ${why}`))
      await Promise.race([this.#toClient.write(line), this.#stopped])
    }
  }

  /** Resolves when the stream has ended, with what was wrong if something was. */
  async #pump(source: Readable, each: (line: Buffer) => Promise<void>): Promise<Error | undefined> {
    try {
      for await (const line of linesOf(source, this.#options.mostMessageBytes)) await each(line)
      return undefined
    } catch (error) {
      // A stream that breaks off is somebody's death, and seen as that.
      return error instanceof Error && !('code' in error) ? error : undefined
    }
  }

  async #fromClient(line: Buffer): Promise<void> {
    const message = readMessage(line.toString())
    if (message.kind === 'tool_call') void this.#call(message.id, message.tool, line)
    else if (message.kind === 'cancellation' && this.#open.cancel(message.id)) return
    else {
      if (message.kind === 'request') this.#open.pass(message.id)
      void this.#toServer.write(line)
    }
    await this.#toServer.room()
    while (this.#held > this.#options.mostMessageBytes) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  /** Begins at once: where no fault fires, the line is written before this returns. */
  #call(id: Id, tool: string, line: Buffer): Promise<void> {
    const signal = this.#open.begin(id)
    this.#held += line.length
    let held = true
    const release = () => {
      if (held) this.#held -= line.length
      held = false
      this.#wake()
    }
    const delivered: Promise<void> = this.#options.faults
      .call(
        tool,
        id,
        () => {
          release()
          void this.#toServer.write(line)
          return this.#open.sent(id, () => delivered)
        },
        signal,
      )
      .then((answer) => {
        this.#open.done(id)
        return this.#toClient.write(typeof answer === 'string' ? asLine(answer) : answer)
      })
      // Cancelled, or the end of everything: there is nobody to answer.
      .catch(() => undefined)
      .finally(release)
    return delivered
  }

  async #fromServer(line: Buffer): Promise<void> {
    const message = readMessage(line.toString())
    const delivered =
      message.kind === 'answer' ? this.#open.answer(message.id, { raw: line, body: message.body }) : undefined
    // In order: an answer is on its way to the client before the next line is looked at.
    await (delivered ?? this.#toClient.write(line))
  }
}

function asLine(text: string): Buffer {
  return Buffer.from(`${text}\n`)
}
