/** The MCP adapters with the official SDKs: a real client of a real server, and a real server whose tools are wrapped. */
import { Client, InMemoryTransport as ClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { McpServer } from '@modelcontextprotocol/server'
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { wrapMcpClient, wrapMcpTool } from '../../src/faults/adapters/index.ts'
import type { WrapMcpOptions } from '../../src/faults/adapters/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { REAL_SERVER } from '../e2e/mcp.ts'
import { enabled, timeOf } from './helpers.ts'

type Wrapped = WrapMcpOptions & { faults: FaultConfig[] }
const withFault = (...faults: FaultConfig[]): Wrapped => ({ chaos: enabled(), faults, seed: 1 })
const QUIET = { fault_type: 'error', error_code: 500, probability: 0 } as const
const textOf = (result: { content: unknown }) => (result.content as { text: string }[])[0]?.text
const sum = (client: Client, options?: { signal: AbortSignal }) =>
  client.callTool({ name: 'get-sum', arguments: { a: 1, b: 2 } }, options)
const SUM = 'The sum of 1 and 2 is 3.'

/** What is seen of each fault; the same in the client and in the server. */
const SEEN: [FaultConfig, string][] = [
  [{ fault_type: 'error', error_code: 503, retry_after_seconds: 2 }, '[503] injected error (retry after 2 s)'],
  [{ fault_type: 'timeout', duration_ms: 30 }, '[timeout] no answer within 30 ms'],
  [{ fault_type: 'partial_failure' }, '[partial_failure] '],
  [{ fault_type: 'resource_exhaustion', mode: 'rate_limit' }, '[429] rate limit reached (retry after 1 s)'],
  [{ fault_type: 'data_corruption' }, '[data_corruption] '],
]

describe('wrapMcpClient around the real client of server-everything', () => {
  const bare = new Client({ name: 'test', version: '1.0.0' })
  const [command = '', ...args] = REAL_SERVER
  before(() => bare.connect(new StdioClientTransport({ command, args, stderr: 'ignore' })))
  after(() => bare.close())

  test('without a fault every result is equal, and whatever else the client does works', async () => {
    const client = wrapMcpClient(bare, withFault(QUIET))
    const calls = [
      { name: 'get-sum', arguments: { a: 1, b: 2 } },
      { name: 'get-structured-content', arguments: { location: 'New York' } },
      { name: 'get-tiny-image', arguments: {} },
      { name: 'no-such-tool', arguments: {} },
    ]
    for (const call of calls) assert.deepEqual(await client.callTool(call), await bare.callTool(call))
    assert.deepEqual(await client.listTools(), await bare.listTools())
    assert.deepEqual(client.getServerVersion(), bare.getServerVersion())
    assert.ok(client instanceof Client)
    let progress = 0
    await client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 2 } },
      { onprogress: () => (progress += 1) },
    )
    // The client forgets the last one when the answer comes in the same piece.
    assert.ok(progress >= 1)
  })

  for (const [fault, text] of SEEN)
    test(`${fault.fault_type} is a result with isError, or thrown, of the tools it is for`, async () => {
      const options = withFault({ ...fault, affected_components: ['get-sum'] })
      const result = await sum(wrapMcpClient(bare, options))
      assert.equal(result.isError, true)
      assert.ok(textOf(result)?.startsWith(text), textOf(result))
      const throwing = wrapMcpClient(bare, { ...options, throwErrors: true })
      await assert.rejects(sum(throwing), { fault_type: fault.fault_type, component: 'get-sum' })
      assert.equal(textOf(await throwing.callTool({ name: 'echo', arguments: { message: 'x' } })), 'Echo: x')
    })

  test('latency waits, and an AbortSignal in the options ends the wait: the server is not asked', async () => {
    const slow = wrapMcpClient(bare, withFault({ fault_type: 'latency', duration_ms: 300 }))
    assert.ok((await timeOf(async () => assert.equal(textOf(await sum(slow)), SUM))) >= 299)
    const hanging = wrapMcpClient(bare, withFault({ fault_type: 'latency', duration_ms: 60_000 }))
    await assert.rejects(sum(hanging, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
  })

  test('partial_failure and data_corruption change results within their schema', async () => {
    const half = wrapMcpClient(bare, withFault({ fault_type: 'partial_failure', mode: 'drop' }))
    assert.equal(textOf(await sum(half)), 'The sum of 1')
    const wrong = wrapMcpClient(bare, withFault({ fault_type: 'data_corruption', mode: 'wrong_values' }))
    const weather = { name: 'get-structured-content', arguments: { location: 'New York' } }
    const { structuredContent, content } = await wrong.callTool(weather)
    assert.notDeepEqual(structuredContent, (await bare.callTool(weather)).structuredContent)
    assert.deepEqual(JSON.parse((content as { text: string }[])[0]?.text ?? ''), structuredContent)
  })
})

describe('wrapMcpTool in the real server', () => {
  /** A server with one tool, wrapped or not, and its client. */
  async function served(
    options: WrapMcpOptions | undefined,
    use: (client: Client, calls: () => number) => Promise<void>,
  ) {
    let calls = 0
    const server = new McpServer({ name: 'test', version: '1.0.0' })
    const handler = ({ a, b }: { a: number; b: number }) => {
      calls++
      const total = a + b
      return { content: [{ type: 'text' as const, text: JSON.stringify({ total }) }], structuredContent: { total } }
    }
    server.registerTool(
      'add',
      { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ total: z.number() }) },
      options === undefined ? handler : wrapMcpTool('add', handler, options),
    )
    const [one, other] = ClientTransport.createLinkedPair()
    const client = new Client({ name: 'test', version: '1.0.0' })
    await Promise.all([server.connect(one), client.connect(other)])
    try {
      await use(client, () => calls)
    } finally {
      await client.close()
      await server.close()
    }
  }
  const add = (client: Client, options?: { signal: AbortSignal }) =>
    client.callTool({ name: 'add', arguments: { a: 1, b: 2 } }, options)

  test('without a fault the result is equal to that of the bare handler', async () => {
    const results: unknown[] = []
    for (const options of [undefined, withFault(QUIET)])
      await served(options, async (client) => {
        results.push(await add(client), await client.listTools())
      })
    assert.deepEqual(results.slice(2), results.slice(0, 2))
  })

  for (const [fault, text] of SEEN)
    test(`${fault.fault_type} is a result with isError, also where it is thrown, and the handler is not called`, async () => {
      for (const throwErrors of [false, true])
        await served({ ...withFault(fault), throwErrors }, async (client, calls) => {
          const result = await add(client)
          assert.equal(result.isError, true)
          // What is thrown the server tells in its own way.
          if (!throwErrors) assert.ok(textOf(result)?.startsWith(text), textOf(result))
          assert.equal(calls(), 0)
        })
    })

  test('latency waits, and a client that cancels ends the wait: the handler is not called', async () => {
    await served(withFault({ fault_type: 'latency', duration_ms: 300 }), async (client) => {
      assert.ok((await timeOf(() => add(client))) >= 299)
    })
    await served(withFault({ fault_type: 'latency', duration_ms: 1000 }), async (client, calls) => {
      await assert.rejects(add(client, { signal: AbortSignal.timeout(50) }))
      await new Promise((resolve) => setTimeout(resolve, 1200))
      assert.equal(calls(), 0)
    })
  })

  test('data_corruption gives wrong data that fits the output schema, which the server checks', () =>
    served(withFault({ fault_type: 'data_corruption', mode: 'wrong_values' }), async (client) => {
      const { structuredContent, content, isError } = await add(client)
      assert.notEqual(isError, true)
      assert.notDeepEqual(structuredContent, { total: 3 })
      assert.deepEqual(JSON.parse((content as { text: string }[])[0]?.text ?? ''), structuredContent)
    }))
})
