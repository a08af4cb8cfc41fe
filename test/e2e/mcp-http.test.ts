/** `chaos mcp-proxy --http` between the real MCP client and the real MCP server over streamable HTTP. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { StreamableHTTPClientTransportOptions } from '@modelcontextprotocol/client'
import assert from 'node:assert/strict'
import type { Server } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { httpTap } from '../fakes/http-tap.ts'
import type { Exchange } from '../fakes/http-tap.ts'
import { listening, until } from '../mcp/http.ts'
import { MAIN, RawClient, REAL_SERVER } from './mcp.ts'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function startServer(port: number): Promise<RawClient> {
  const server = new RawClient(['env', `PORT=${port}`, ...REAL_SERVER.slice(0, -1), 'streamableHttp'])
  server.child.stdout.resume()
  await server.until('listening')
  return server
}

async function startProxy(upstream: string, options: readonly string[]): Promise<{ proxy: RawClient; url: string }> {
  const proxy = new RawClient([process.execPath, MAIN, 'mcp-proxy', '--http', upstream, ...options])
  await proxy.until('listening on ')
  return { proxy, url: /listening on (\S+)/.exec(proxy.err)?.[1] ?? '' }
}

async function connected(url: string, options?: StreamableHTTPClientTransportOptions) {
  const client = new Client({ name: 'test', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(new URL(url), options)
  await client.connect(transport)
  const errors: Error[] = []
  client.onerror = (error) => errors.push(error)
  return { client, transport, errors }
}

const sum = (client: Client, options?: { timeout?: number; signal?: AbortSignal }) =>
  client.callTool({ name: 'get-sum', arguments: { a: 1, b: 2 } }, options)
const echo = (client: Client, message: string) => client.callTool({ name: 'echo', arguments: { message } })
const SUM = 'The sum of 1 and 2 is 3.'
const textOf = (result: { content: unknown }) => (result.content as { text: string }[])[0]?.text

describe('chaos mcp-proxy --http in front of server-everything', () => {
  let server: RawClient
  let upstream = ''
  before(async () => {
    const port = await freePort()
    upstream = `http://127.0.0.1:${port}/mcp`
    server = await startServer(port)
  })
  after(async () => {
    server.child.kill('SIGKILL')
    await server.exit
  })

  async function behind(options: string[], use: (client: Client, errors: Error[]) => Promise<void>): Promise<void> {
    const { proxy, url } = await startProxy(upstream, options)
    const { client, errors } = await connected(url)
    try {
      await use(client, errors)
    } finally {
      await client.close()
      proxy.child.kill('SIGTERM')
      assert.equal(await proxy.exit, 0)
    }
  }

  test('latency delays the answer of its tool, while other calls go on', () =>
    behind(['--fault', 'latency,duration_ms=700', '--tool', 'get-sum'], async (client) => {
      const begun = performance.now()
      const order: string[] = []
      const slow = sum(client).then(() => order.push('sum'))
      await echo(client, 'x').then(() => order.push('echo'))
      await slow
      assert.ok(performance.now() - begun >= 690, 'too early')
      assert.deepEqual(order, ['echo', 'sum'])
    }))

  test('error is a result with isError, or a JSON-RPC error, of the tools it is for', async () => {
    const fault = ['--fault', 'error,error_code=503,retry_after_seconds=2', '--tool', 'get-sum']
    await behind(fault, async (client) => {
      const result = await sum(client)
      assert.deepEqual([result.isError, textOf(result)], [true, '[503] injected error (retry after 2 s)'])
      assert.equal(textOf(await echo(client, 'x')), 'Echo: x')
    })
    await behind([...fault, '--protocol-error'], (client) =>
      assert.rejects(sum(client), { code: -32603, data: { status: 503, retry_after_seconds: 2 } }),
    )
  })

  test('timeout does not answer for its duration; a client that gives up before gets no answer later, and goes on', () =>
    behind(['--fault', 'timeout,duration_ms=1500,first_n=2', '--protocol-error'], async (client, errors) => {
      await assert.rejects(sum(client), { code: -32001, message: /no answer within 1500 ms/ })
      await assert.rejects(sum(client, { timeout: 200 }), /timed out/i)
      assert.equal(textOf(await sum(client)), SUM)
      await new Promise((resolve) => setTimeout(resolve, 1500))
      assert.deepEqual(errors, [])
    }))

  test('partial_failure drops a part, resource_exhaustion says when to come back, data_corruption gives half of the text', () =>
    behind(
      [
        ...['--fault', 'partial_failure,mode=drop,first_n=1'],
        ...['--fault', 'resource_exhaustion,mode=rate_limit,after_calls=1,first_n=1'],
        ...['--fault', 'data_corruption,mode=truncate,after_calls=1,first_n=1'],
      ],
      async (client) => {
        assert.equal(textOf(await sum(client)), 'The sum of 1')
        assert.equal(textOf(await sum(client)), '[429] rate limit reached (retry after 1 s)')
        const cut = textOf(await sum(client)) ?? ''
        assert.ok(SUM.startsWith(cut) && cut.length < SUM.length, cut)
        assert.equal(textOf(await sum(client)), SUM)
      },
    ))

  test('data_corruption changes structured content and the text that says the same, within their schema', () =>
    behind(['--fault', 'data_corruption,mode=wrong_values'], async (client) => {
      // The client checks the schema of the output: this call would reject.
      const weather = { name: 'get-structured-content', arguments: { location: 'New York' } }
      const { structuredContent, content } = await client.callTool(weather)
      assert.deepEqual(Object.keys(structuredContent ?? {}), ['temperature', 'conditions', 'humidity'])
      assert.notDeepEqual(structuredContent, { temperature: 33, conditions: 'Cloudy', humidity: 82 })
      assert.deepEqual(JSON.parse((content as { text: string }[])[0]?.text ?? ''), structuredContent)
    }))

  test('where no fault fires, every request and every answer is the same on both sides: stream, resumption, progress, the end of the session', async (t) => {
    let proxyUrl = ''
    const [outer, inner] = [httpTap(() => new URL(proxyUrl)), httpTap(() => new URL(upstream))]
    t.after(() => [outer, inner].forEach((tap) => close(tap.server)))
    const innerUrl = `http://127.0.0.1:${await listening(inner.server)}/mcp`
    const outerPort = await listening(outer.server)
    const outerUrl = `http://127.0.0.1:${outerPort}/mcp`
    const quiet = ['--fault', 'error,error_code=500,probability=0', '--fault', 'data_corruption,probability=0']
    // The tap passes on the Host by which itself was asked.
    const { proxy, url } = await startProxy(innerUrl, [...quiet, '--allow-host', `127.0.0.1:${outerPort}`])
    t.after(() => proxy.child.kill('SIGKILL'))
    proxyUrl = url
    const { client, transport } = await connected(outerUrl, {
      requestInit: { headers: { authorization: 'Bearer secret' } },
    })
    let progress = 0
    let token: string | undefined
    await Promise.all([
      client.listTools(),
      client.listResources(),
      client.ping(),
      echo(client, `ä\u2028😀${'x'.repeat(1_000_000)}`),
      client.callTool({ name: 'get-tiny-image', arguments: {} }),
      client.callTool(
        { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } },
        { onprogress: () => (progress += 1), onresumptiontoken: (id) => (token ??= id) },
      ),
      ...Array.from({ length: 50 }, () => sum(client)),
    ])
    assert.equal(progress, 3)
    assert.ok(token !== undefined)
    // Messages on the stream of the session, and once more what came after an event.
    await client.callTool({ name: 'toggle-simulated-logging', arguments: {} })
    await transport.resumeStream(token)
    await until(() => gets(inner.seen).length >= 2 && gets(inner.seen).every((get) => get.answer !== ''), 'no streams')
    await transport.terminateSession()
    await client.close()
    await until(() => outer.seen.length === inner.seen.length, 'a request is missing')
    proxy.child.kill('SIGTERM')
    assert.equal(await proxy.exit, 0)

    for (const method of ['POST', 'GET', 'DELETE']) assert.ok(inner.seen.some((exchange) => exchange.method === method))
    assert.ok(inner.seen.some(({ headers }) => headers.some((name) => name.toLowerCase() === 'last-event-id')))
    assert.deepEqual(comparable(inner.seen), comparable(outer.seen))
    t.diagnostic(`${outer.seen.length} exchanges, ${outer.seen.map((e) => e.answer).join('').length} bytes of answers`)
  })

  test('a client that cancels a delayed call is not answered, and the server never hears of the call', async (t) => {
    const tap = httpTap(() => new URL(upstream))
    t.after(() => close(tap.server))
    const url = `http://127.0.0.1:${await listening(tap.server)}/mcp`
    const { proxy, url: proxied } = await startProxy(url, ['--fault', 'latency,duration_ms=60000', '--tool', 'get-sum'])
    const { client, errors } = await connected(proxied)
    await assert.rejects(sum(client, { signal: AbortSignal.timeout(300) }))
    assert.equal(textOf(await echo(client, 'x')), 'Echo: x')
    await until(() => tap.seen.some(({ body }) => body.includes('notifications/cancelled')), 'it was not cancelled')
    assert.ok(!tap.seen.some(({ body }) => body.includes('get-sum')))
    assert.deepEqual(errors, [])
    // And one that waits when the end comes does not keep the proxy.
    const waiting = sum(client)
    waiting.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 100))
    proxy.child.kill('SIGTERM')
    assert.equal(await proxy.exit, 0)
    await client.close()
  })
})

test('the real server dies in the middle of a call and comes back at its address: the client sees both, and the proxy goes on', async (t) => {
  const port = await freePort()
  const first = await startServer(port)
  const { proxy, url } = await startProxy(`http://127.0.0.1:${port}/mcp`, [])
  const { client, errors } = await connected(url, {
    reconnectionOptions: {
      initialReconnectionDelay: 50,
      maxReconnectionDelay: 50,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 1,
    },
  })
  const call = client.callTool(
    { name: 'trigger-long-running-operation', arguments: { duration: 60, steps: 60 } },
    { timeout: 3000, onprogress: () => undefined },
  )
  setTimeout(() => first.child.kill('SIGKILL'), 300)
  await assert.rejects(call)
  assert.match(errors.map(String).join('\n'), /stream disconnected/)
  await assert.rejects(sum(client), /502|ECONNREFUSED/)
  await client.close()
  const second = await startServer(port)
  t.after(() => second.child.kill('SIGKILL'))
  const again = await connected(url)
  assert.equal(textOf(await sum(again.client)), SUM)
  await again.client.close()
  proxy.child.kill('SIGTERM')
  assert.equal(await proxy.exit, 0)
})

function close(server: Server): void {
  server.close()
  server.closeAllConnections()
}

const gets = (seen: readonly Exchange[]): Exchange[] => seen.filter(({ method }) => method === 'GET')

/** What a proxy must leave as it is. Requests that are under way together may come in any order. */
function comparable(seen: readonly Exchange[]): unknown[] {
  return seen
    .map(({ headers, answerHeaders, ...rest }) => ({
      ...rest,
      headers: lasting(headers, ['host', ...(rest.body.includes('"tools/call"') ? ['accept-encoding'] : [])]),
      answerHeaders: lasting(answerHeaders, []),
    }))
    .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** Without those that are about one connection. */
function lasting(raw: readonly string[], without: readonly string[]): string[] {
  const own = ['connection', 'keep-alive', 'transfer-encoding', ...without]
  return raw
    .flatMap((name, i) => (i % 2 === 0 ? [`${name.toLowerCase()}: ${raw[i + 1] ?? ''}`] : []))
    .filter((line) => !own.some((name) => line.startsWith(`${name}:`)))
    .sort()
}
