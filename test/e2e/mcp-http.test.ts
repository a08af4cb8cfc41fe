/** `chaos mcp-proxy --http` between the real MCP client and the real MCP server over streamable HTTP. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { MAIN, RawClient, REAL_SERVER } from './mcp.ts'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

describe('chaos mcp-proxy --http in front of server-everything', () => {
  let server: RawClient
  let upstream = ''
  before(async () => {
    const port = await freePort()
    upstream = `http://127.0.0.1:${port}/mcp`
    server = new RawClient(['env', `PORT=${port}`, ...REAL_SERVER.slice(0, -1), 'streamableHttp'])
    await server.until('listening')
  })
  after(async () => {
    server.child.kill('SIGKILL')
    await server.exit
  })

  async function behind(options: string[], use: (client: Client) => Promise<void>): Promise<void> {
    const proxy = new RawClient([process.execPath, MAIN, 'mcp-proxy', '--http', upstream, ...options])
    await proxy.until('listening on ')
    const [, url = ''] = /listening on (\S+)/.exec(proxy.err) ?? []
    const client = new Client({ name: 'test', version: '1.0.0' })
    try {
      await client.connect(new StreamableHTTPClientTransport(new URL(url)))
      await use(client)
    } finally {
      await client.close()
      proxy.child.kill('SIGTERM')
      assert.equal(await proxy.exit, 0)
    }
  }
  const sum = (client: Client) => client.callTool({ name: 'get-sum', arguments: { a: 1, b: 2 } })
  const SUM = 'The sum of 1 and 2 is 3.'
  const textOf = (result: { content: unknown }) => (result.content as { text: string }[])[0]?.text

  test('without a fault calls work, and progress comes while a call goes on', () =>
    behind([], async (client) => {
      assert.equal(textOf(await sum(client)), SUM)
      let progress = 0
      await client.callTool(
        { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } },
        { onprogress: () => (progress += 1) },
      )
      assert.equal(progress, 3)
    }))

  test('errors, delays and wrong data are seen by the client, in the tools they are for', () =>
    behind(
      [
        ...['--fault', 'error,error_code=503,first_n=1'],
        ...['--fault', 'data_corruption,mode=truncate', '--fault', 'latency,duration_ms=300', '--tool', 'get-sum'],
      ],
      async (client) => {
        assert.equal(textOf(await sum(client)), '[503] injected error')
        const begun = performance.now()
        const text = textOf(await sum(client)) ?? ''
        assert.ok(performance.now() - begun >= 290, 'too early')
        assert.ok(SUM.startsWith(text) && text.length < SUM.length, text)
        assert.equal(textOf(await client.callTool({ name: 'echo', arguments: { message: 'x' } })), 'Echo: x')
      },
    ))
})
