/** A5, A7, A8: time limits of the client's own, nothing that silently does nothing, and arguments that are inferred. */
import { tool } from 'ai'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { wrapMcpClient, wrapTools } from '../../src/faults/adapters/index.ts'
import { Chaos, ChaosError, wrap } from '../../src/faults/index.ts'
import { enabled, error503, errorOf } from './helpers.ts'

const chaos = enabled()

class Client {
  asked: unknown[][] = []
  callTool(...args: [params: { name: string }, ...more: unknown[]]): Promise<unknown> {
    this.asked.push(args)
    return Promise.resolve({ content: [] })
  }
  request(...args: [asked: { method: string; params: { name: string } }, ...more: unknown[]]): Promise<unknown> {
    this.asked.push(args)
    return Promise.resolve({ content: [] })
  }
}

test('A5: a client’s own time limit ends an injected wait with -32001, and the server is not asked', async () => {
  const bare = new Client()
  const slow = wrapMcpClient(bare, { chaos, faults: [{ fault_type: 'latency', duration_ms: 30_000 }] })
  const begun = performance.now()
  for (const call of [
    () => slow.callTool({ name: 'x' }, undefined, { timeout: 200 }),
    () => slow.callTool({ name: 'x' }, { maxTotalTimeout: 200 }),
    () => slow.request({ method: 'tools/call', params: { name: 'x' } }, { timeout: 200 }),
  ]) {
    const error = await errorOf(call)
    assert.equal((error as { code?: number }).code, -32001)
  }
  assert.ok(performance.now() - begun < 20_000)
  assert.equal(bare.asked.length, 0)
})

test('A5: thrown errors have a code of the protocol, and what is left of the time is the client’s', async () => {
  const bare = new Client()
  const broken = wrapMcpClient(bare, { chaos, faults: [error503], throwErrors: true })
  assert.equal(((await errorOf(() => broken.callTool({ name: 'x' }))) as { code?: number }).code, -32603)
  const late = wrapMcpClient(bare, { chaos, faults: [{ fault_type: 'latency', duration_ms: 50 }] })
  await late.callTool({ name: 'x' }, { timeout: 10_000, resetTimeoutOnProgress: true })
  const [, options] = bare.asked[0] as [unknown, { timeout: number; resetTimeoutOnProgress: boolean }]
  assert.ok(options.timeout < 10_000 && options.timeout > 0)
  assert.equal(options.resetTimeoutOnProgress, true)
})

test('A7: tools without execute are wrapped by what they have, or warned of', async () => {
  const warnings: string[] = []
  const own = new Chaos({ enabled: true, warn: (text) => warnings.push(text) })
  class LangTool {
    name = 'lang'
    #answer = 'x'
    invoke(): Promise<string> {
      return Promise.resolve(this.#answer)
    }
  }
  const agents = { type: 'function', name: 'agents', invoke: () => Promise.resolve('x') }
  const options = { chaos: own, faults: [error503] }
  const [lang, agent] = wrapTools([new LangTool(), agents] as const, options)
  assert.ok(lang instanceof LangTool)
  assert.ok((await errorOf(() => lang.invoke())) instanceof ChaosError)
  assert.ok((await errorOf(() => agent.invoke())) instanceof ChaosError)
  assert.deepEqual(own.components(), ['agents', 'lang'])
  wrapTools({ silent: { description: 'x' } }, options)
  assert.match(warnings.join(), /silent has none of execute, invoke/)
})

test('A7: faults that nobody has enabled are warned of once', async () => {
  const warnings: string[] = []
  const idle = new Chaos({ warn: (text) => warnings.push(text) })
  const one = wrap(async () => Promise.resolve(1), { component: 'pay', faults: [error503], chaos: idle })
  const two = wrap((n: number) => n, { component: 'add', faults: [error503], chaos: idle })
  for (let i = 0; i < 3; i++) assert.deepEqual([await one(), two(2)], [1, 2])
  assert.equal(warnings.length, 2)
  assert.match(warnings.join(), /pay has faults, but nothing is injected: call enable\(\)/)
  idle.disable()
  wrap(() => 1, { component: 'meant', faults: [error503], chaos: idle })()
  assert.equal(warnings.length, 2)
})

test('A8: the arguments of a function that is written in place are inferred', async () => {
  const upper = tool({
    inputSchema: z.object({ q: z.string() }),
    execute: wrap(async ({ q }) => Promise.resolve(q.toUpperCase()), { chaos }),
  })
  assert.equal(await upper.execute?.({ q: 'a' }, { toolCallId: '1', messages: [] }), 'A')
})
