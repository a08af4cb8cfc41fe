/** A proxy over HTTP in this process, in front of a server of the test's own; and what is left open when both have ended. */
import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { IncomingMessage, RequestListener, RequestOptions, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { FaultConfig, FiredFault } from '../../src/faults/index.ts'
import { httpProxy } from '../../src/mcp/http-proxy.ts'
import type { HttpProxyOptions } from '../../src/mcp/http-proxy.ts'
import { ToolFaults } from '../../src/mcp/tool-faults.ts'

export interface Pair {
  url: string
  server: Server
  proxy: Server
  fired: FiredFault[]
}

interface BehindOptions {
  faults?: FaultConfig[]
  most?: number
  gate?: Partial<NonNullable<HttpProxyOptions['gate']>>
  headers?: Record<string, string>
}

/** `upstream` answers what the proxy sends on. At the end both must be without connections. */
export async function behindProxy(
  t: TestContext,
  upstream: RequestListener,
  { faults = [], most = 64 * 2 ** 20, gate = {}, headers = {} }: BehindOptions = {},
): Promise<Pair> {
  const fired: FiredFault[] = []
  const server = createServer(upstream)
  const tools = new ToolFaults({ faults, seed: 1, fired: (fault) => fired.push(fault) })
  const proxy = httpProxy({
    upstream: new URL(`http://127.0.0.1:${await listening(server)}/mcp`),
    faults: tools,
    mostMessageBytes: most,
    gate: { host: '127.0.0.1', ...gate },
    headers,
  })
  const url = `http://127.0.0.1:${await listening(proxy)}/mcp`
  t.after(async () => {
    tools.end()
    for (const one of [proxy, server]) {
      one.closeIdleConnections()
      try {
        await until(async () => (await connections(one)) === 0, 'connections are left open')
      } finally {
        one.close()
        one.closeAllConnections()
      }
    }
  })
  return { url, server, proxy, fired }
}

export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

export function connections(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
}

export async function until(condition: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const end = Date.now() + 10_000
  while (!(await condition())) {
    assert.ok(Date.now() < end, otherwise)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** One request on a connection of its own; resolves with the head of the answer. */
export function ask(
  url: string,
  { body, ...options }: RequestOptions & { body?: string | Buffer | undefined } = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(url, { agent: false, method: body === undefined ? 'GET' : 'POST', ...options })
      .on('response', resolve)
      .on('error', reject)
      .end(body)
  })
}

export async function textOf(message: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

export const callOf = (name: string, id: number | string = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } })

export const answerOf = (text: string, id: number | string = 1): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } })
