/** `chaos mcp-proxy` between the real MCP client and the real MCP server: every fault is seen, and nothing else changes. */
import type { Client } from '@modelcontextprotocol/client'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { connect, proxyCommand, REAL_SERVER, TEE } from './mcp.ts'

const folder = mkdtempSync(join(tmpdir(), 'chaos-mcp-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const sum = (client: Client, options?: { signal?: AbortSignal; timeout?: number }) =>
  client.callTool({ name: 'get-sum', arguments: { a: 1, b: 2 } }, options)
const weather = (client: Client) =>
  client.callTool({ name: 'get-structured-content', arguments: { location: 'New York' } })
/** A reference to a resource: three items of content. */
const reference = (client: Client) =>
  client.callTool({ name: 'get-resource-reference', arguments: { resourceType: 'Text', resourceId: 1 } })
const SUM = { content: [{ type: 'text', text: 'The sum of 1 and 2 is 3.' }] }

async function behind(options: string[], use: (client: Client) => Promise<void>): Promise<void> {
  const { client } = await connect(proxyCommand(options))
  try {
    await use(client)
  } finally {
    await client.close()
  }
}

async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await call()
  return performance.now() - begun
}

describe('chaos mcp-proxy in front of server-everything', () => {
  test('latency delays the answer of its tool, while other traffic goes on', () =>
    behind(['--fault', 'latency,duration_ms=700', '--tool', 'get-sum'], async (client) => {
      const order: string[] = []
      const slow = timeOf(() => sum(client).then(() => order.push('sum')))
      await client.callTool({ name: 'echo', arguments: { message: 'x' } }).then(() => order.push('echo'))
      await client.ping().then(() => order.push('ping'))
      assert.ok((await slow) >= 690)
      assert.deepEqual(order, ['echo', 'ping', 'sum'])
    }))

  test('error is a result with isError, of the tools it is for', () =>
    behind(
      ['--fault', 'error,error_code=503,error_message=Service unavailable', '--tool', 'get-sum'],
      async (client) => {
        assert.deepEqual(await sum(client), {
          content: [{ type: 'text', text: '[503] Service unavailable' }],
          isError: true,
        })
        const { content } = await client.callTool({ name: 'echo', arguments: { message: 'x' } })
        assert.deepEqual(content, [{ type: 'text', text: 'Echo: x' }])
      },
    ))

  test('error with --protocol-error is a JSON-RPC error with the status in its data', () =>
    behind(['--fault', 'error,error_code=503,retry_after_seconds=2', '--protocol-error'], async (client) => {
      await assert.rejects(sum(client), {
        code: -32603,
        message: /\[503\] injected error \(retry after 2 s\)/,
        data: { status: 503, retry_after_seconds: 2 },
      })
    }))

  test('timeout does not answer for its duration, and then with an error', () =>
    behind(['--fault', 'timeout,duration_ms=600', '--protocol-error'], async (client) => {
      const took = await timeOf(() => assert.rejects(sum(client), { code: -32001, message: /no answer within 600 ms/ }))
      assert.ok(took >= 590)
    }))

  test('a client that gives up during a timeout is not answered later, and goes on', () =>
    behind(['--fault', 'timeout,duration_ms=1000,first_n=1'], async (client) => {
      const errors: Error[] = []
      client.onerror = (error) => errors.push(error)
      await assert.rejects(sum(client, { timeout: 200 }), /timed out/i)
      assert.deepEqual(await sum(client), SUM)
      await new Promise((resolve) => setTimeout(resolve, 1000))
      // An answer to a request that the client has forgotten would be an error of its protocol.
      assert.deepEqual(errors, [])
    }))

  test('partial_failure drops items of content', () =>
    behind(['--fault', 'partial_failure,mode=drop'], async (client) => {
      const { content } = await reference(client)
      assert.ok(Array.isArray(content) && content.length >= 1 && content.length < 3, JSON.stringify(content))
      const text = ((await sum(client)).content as { text: string }[])[0]?.text
      assert.equal(text, 'The sum of 1')
    }))

  test('data_corruption changes structured content and the text that says the same, within their schema', () =>
    behind(['--fault', 'data_corruption,mode=wrong_values', '--seed', '7'], async (client) => {
      // The client checks the schema of the output: this call would reject.
      const { structuredContent, content } = await weather(client)
      assert.notDeepEqual(structuredContent, { temperature: 33, conditions: 'Cloudy', humidity: 82 })
      assert.deepEqual(Object.keys(structuredContent ?? {}), ['temperature', 'conditions', 'humidity'])
      assert.deepEqual(JSON.parse((content as { text: string }[])[0]?.text ?? ''), structuredContent)
      assert.notDeepEqual(await sum(client), SUM)
    }))

  for (const mode of ['truncate', 'bit_flip'])
    test(`data_corruption with ${mode} gives the client another text`, () =>
      behind(['--fault', `data_corruption,mode=${mode}`], async (client) => {
        const [item] = (await sum(client)).content as { type: string; text: string }[]
        assert.equal(item?.type, 'text')
        assert.notEqual(item.text, SUM.content[0]?.text)
        if (mode === 'truncate') assert.ok(SUM.content[0]?.text.startsWith(item.text))
      }))

  test('data_corruption with stale gives the answer before', () =>
    behind(['--fault', 'data_corruption,mode=stale', '--tool', 'echo'], async (client) => {
      const echo = async (message: string) => (await client.callTool({ name: 'echo', arguments: { message } })).content
      assert.deepEqual(await echo('one'), [{ type: 'text', text: 'Echo: one' }])
      assert.deepEqual(await echo('two'), [{ type: 'text', text: 'Echo: one' }])
    }))

  test('resource_exhaustion says 429 and when to come back', () =>
    behind(['--fault', 'resource_exhaustion,mode=rate_limit,retry_after_seconds=3'], async (client) => {
      assert.deepEqual(await sum(client), {
        content: [{ type: 'text', text: '[429] rate limit reached (retry after 3 s)' }],
        isError: true,
      })
    }))

  test('the experiment of a file acts on its tools, from its seed, for its duration, and the log has what fired', async () => {
    const [config, log] = [join(folder, 'experiment.yaml'), join(folder, 'fired.ndjson')]
    writeFileSync(
      config,
      `experiment_id: e1
name: Sums fail
seed: 42
duration_seconds: 10
target_components: [get-sum]
faults:
  - { fault_type: error, error_code: 500, probability: 0.5 }
  - { fault_type: error, error_code: 418, affected_components: [echo] }
`,
    )
    const run = async (): Promise<boolean[]> => {
      const failed: boolean[] = []
      await behind(['--config', config, '--log', log], async (client) => {
        for (let i = 0; i < 20; i++) failed.push((await sum(client)).isError === true)
        const { content } = await client.callTool({ name: 'echo', arguments: { message: 'x' } })
        assert.deepEqual(content, [{ type: 'text', text: '[418] injected error' }])
        await new Promise((resolve) => setTimeout(resolve, 10_000))
        for (let i = 0; i < 10; i++) assert.deepEqual(await sum(client), SUM)
      })
      return failed
    }
    const [first, second] = await Promise.all([run(), run()])
    assert.deepEqual(second, first)
    const fired = first.filter(Boolean).length
    assert.ok(fired > 0 && fired < 20)
    const lines = readFileSync(log, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; tool?: string; seed?: number })
    assert.deepEqual(
      lines.filter((l) => l.event === 'started').map((l) => l.seed),
      [42, 42],
    )
    assert.equal(lines.filter((l) => l.tool === 'get-sum').length, 2 * fired)
    assert.equal(lines.filter((l) => l.tool === 'echo').length, 2)
  })

  test('where no fault fires, the traffic is byte for byte the same on both sides of the proxy', async (t) => {
    const [outer, inner] = [join(folder, 'outer'), join(folder, 'inner')]
    // A fault that is there and does not fire, so that calls go the whole way.
    const proxy = proxyCommand(
      ['--fault', 'error,error_code=500,probability=0', '--fault', 'data_corruption,mode=stale,probability=0'],
      [process.execPath, TEE, inner, ...REAL_SERVER],
    )
    const { client } = await connect([process.execPath, TEE, outer, ...proxy])
    t.after(() => client.close())
    await client.listTools()
    await client.listResources()
    await client.listPrompts()
    await Promise.all([
      sum(client),
      weather(client),
      reference(client),
      client.callTool({ name: 'get-tiny-image', arguments: {} }),
      client.callTool({ name: 'echo', arguments: { message: `ä\u2028😀${'x'.repeat(1_000_000)}` } }),
      client.callTool(
        { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 5 } },
        { onprogress: () => undefined },
      ),
      ...Array.from({ length: 200 }, () => sum(client)),
    ])
    await client.close()
    // Not counted in the client: it forgets the last one when the answer comes in the same piece.
    assert.equal(readFileSync(`${outer}.out`, 'utf8').split('"method":"notifications/progress"').length - 1, 5)
    for (const side of ['in', 'out']) {
      const [one, other] = [readFileSync(`${outer}.${side}`), readFileSync(`${inner}.${side}`)]
      assert.ok(one.length > 1_000_000 && one.equals(other), `${side}: ${one.length} and ${other.length} bytes`)
      t.diagnostic(`${side}: ${one.length} bytes, equal`)
    }
  })
})
