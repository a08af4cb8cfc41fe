/** The real MCP client in front of `chaos mcp-proxy` in front of an MCP server: the real one unless told. */
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
export const MAIN = at('../../dist/main.js')
export const TEE = at('../fakes/mcp-tee.mjs')
export const FAKE_SERVER = [process.execPath, at('../fakes/mcp-server.mjs')]
export const REAL_SERVER = [
  process.execPath,
  join(
    dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
    'dist/index.js',
  ),
  'stdio',
]

/** The command line of the proxy with these options. */
export function proxyCommand(options: readonly string[], server = REAL_SERVER): string[] {
  return [process.execPath, MAIN, 'mcp-proxy', ...options, '--', ...server]
}

/** A client that has initialised a session with whatever the command starts. */
export async function connect([command = '', ...args]: readonly string[]): Promise<{ client: Client; pid: number }> {
  const transport = new StdioClientTransport({ command, args, stderr: 'ignore' })
  const client = new Client({ name: 'test', version: '1.0.0' })
  await client.connect(transport)
  return { client, pid: transport.pid! }
}

/** A client that writes lines itself, to see every byte and every exit code. */
export class RawClient {
  readonly child: ChildProcessWithoutNullStreams
  readonly lines: AsyncIterator<string, undefined>
  readonly exit: Promise<number | NodeJS.Signals | null>
  err = ''

  constructor([command = '', ...args]: readonly string[]) {
    this.child = spawn(command, args)
    this.child.stdin.on('error', () => undefined)
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => (this.err += text))
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]() as AsyncIterator<
      string,
      undefined
    >
    this.exit = new Promise((resolve) => this.child.once('close', (code, signal) => resolve(code ?? signal)))
  }

  send(message: object): void {
    this.child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  }

  call(id: number, name: string, given: object = {}): void {
    this.send({ id, method: 'tools/call', params: { name, arguments: given } })
  }

  async next(): Promise<Message> {
    const { value, done } = await this.lines.next()
    if (done === true) throw new Error(`the proxy has ended: ${this.err}`)
    return JSON.parse(value) as Message
  }

  /** Resolves when the stderr has this text. */
  async until(text: string): Promise<void> {
    const ended = this.exit.then((code) => {
      throw new Error(`it has ended (${code}) and never said ${JSON.stringify(text)}: ${this.err}`)
    })
    while (!this.err.includes(text)) await Promise.race([once(this.child.stderr, 'data'), ended])
    ended.catch(() => undefined)
  }
}

export interface Message {
  id?: number
  result?: { content: { text: string }[]; isError?: boolean }
  error?: { code: number; message: string; data?: unknown }
}

export function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
