/** A1–A4: what people wrap and what happened to it: queries run twice, errors thrown where a rejection was due, frozen processes, private fields. */
import Anthropic from '@anthropic-ai/sdk'
import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import { Stream } from 'openai/core/streaming'
import { Chaos, ChaosError, wrap } from '../../src/faults/index.ts'
import type { AnyFunction, FaultConfig } from '../../src/faults/index.ts'
import { collect, enabled, error503, errorOf, timeOf } from './helpers.ts'

const chaos = enabled()
const latency: FaultConfig = { fault_type: 'latency', duration_ms: 5 }
const F = <T extends AnyFunction>(fn: T, fault: FaultConfig): T => wrap<T>(fn, { faults: [fault], chaos })

describe('A1: lazy thenables', () => {
  test('a query under latency runs once, also in its first call', async () => {
    let n = 0
    const q = () => ({
      then(ok: (row: string) => void) {
        n++
        ok('row')
      },
    })
    const wrapped = F(() => q(), latency)
    assert.equal(await wrapped(), 'row')
    assert.equal(n, 1)
    assert.equal(await wrapped(), 'row')
    assert.equal(n, 2)
  })

  test('a query that nobody awaits does not run', () => {
    let n = 0
    F(() => ({ then: () => n++ }), latency)()
    assert.equal(n, 0)
  })

  test('a builder stays a builder: it can be chained, and shows its SQL', async () => {
    let n = 0
    class Query {
      #where: string[] = []
      where(part: string): this {
        this.#where.push(part)
        return this
      }
      toSQL = () => `where ${this.#where.join(' and ')}`
      then(ok: (rows: string[]) => unknown, fail?: (error: unknown) => unknown) {
        n++
        return Promise.resolve([this.toSQL()]).then(ok, fail)
      }
    }
    const select = F(() => new Query(), latency)
    const query = select().where('a').where('b')
    assert.ok(query instanceof Query)
    assert.equal(query.toSQL(), 'where a and b')
    assert.deepEqual(await query, ['where a and b'])
    assert.equal(n, 1)
    const broken = F(() => new Query(), error503)
    assert.ok((await errorOf(() => broken().where('a'))) instanceof ChaosError)
    const half = F(() => new Query(), { fault_type: 'partial_failure', mode: 'drop' })
    assert.deepEqual(await half().where('a'), [])
    assert.equal(n, 2)
  })

  test("the promise of OpenAI's client keeps withResponse, and the request is made once", async () => {
    let requests = 0
    const answer = { id: 'x', object: 'chat.completion', choices: [] }
    const client = new OpenAI({
      apiKey: 'x',
      maxRetries: 0,
      fetch: () => {
        requests++
        return Promise.resolve(Response.json(answer))
      },
    })
    const create = F(client.chat.completions.create.bind(client.chat.completions), latency)
    const promise = create({ model: 'm', messages: [] })
    const { data, response } = await promise.withResponse()
    assert.equal((data as { id: string }).id, 'x')
    assert.equal(response.status, 200)
    assert.equal(requests, 1)
    assert.equal(((await create({ model: 'm', messages: [] })) as { id: string }).id, 'x')
    assert.equal(requests, 2)
  })
})

describe('A3: a rejection, never a throw', () => {
  test('a plain function that returns promises rejects in its first call', async () => {
    const handled = await new Promise<unknown>(
      (resolve) => void F((id: number) => Promise.resolve(id), error503)(1).then(() => resolve('answered'), resolve),
    )
    assert.ok(handled instanceof ChaosError)
    const load = (id: number): Promise<number> => Promise.resolve(id)
    assert.ok(
      (await errorOf(() =>
        F((id: number) => load(id), error503)(1).catch((e: unknown) => Promise.reject(e as Error)),
      )) instanceof ChaosError,
    )
  })

  test('what was seen while nothing could fire is known when a lease begins', async () => {
    const idle = new Chaos()
    const results: unknown[] = ['cached', Promise.resolve('loaded')]
    const get = wrap(() => results.shift(), { component: 'get', chaos: idle })
    assert.equal(get(), 'cached')
    assert.equal(await get(), 'loaded')
    idle.lease({ faults: [error503], components: ['get'], lease_ms: 5_000 })
    const rejected = get() as Promise<unknown>
    assert.ok((await errorOf(() => rejected)) instanceof ChaosError)
    idle.disable()
  })

  test('a synchronous function that is known as one, or plainly is one, throws', () => {
    assert.throws(() => F((n: number) => n + 1, error503)(1), ChaosError)
    const idle = new Chaos()
    const parse = wrap((text: string): unknown => JSON.parse(text), { component: 'parse', chaos: idle })
    parse('1')
    idle.lease({ faults: [error503], components: ['parse'], lease_ms: 5_000 })
    assert.throws(() => parse('1'), ChaosError)
    idle.disable()
  })
})

describe('A2: a synchronous function under latency', () => {
  test('blocks for no longer than its lease, and then the lease is over', async () => {
    const own = new Chaos({ most_block_ms: 60_000 })
    const add = wrap((n: number) => n + 1, { component: 'add', chaos: own })
    const lease = own.lease({ faults: [{ ...latency, duration_ms: 60_000 }], lease_ms: 150 })
    const took = await timeOf(() => assert.equal(add(1), 2))
    assert.ok(took >= 140 && took < 10_000, String(took))
    assert.equal(lease.hasEnded, true)
    assert.ok((await timeOf(() => add(1))) < 5_000)
  })

  test('blocks for a bounded time in one call, and together until the event loop has had a breath', async () => {
    const own = new Chaos({ most_block_ms: 200 })
    const add = wrap((n: number) => n + 1, { component: 'add', chaos: own })
    own.lease({ faults: [{ ...latency, duration_ms: 30_000 }], lease_ms: 600_000 })
    const took = await timeOf(() => {
      for (let i = 0; i < 50; i++) add(i)
    })
    assert.ok(took >= 190 && took < 6_000, String(took))
    own.disable()
    const unsaid = wrap((n: number) => n + 1, { faults: [{ ...latency, duration_ms: 30_000 }], chaos })
    const one = await timeOf(() => unsaid(1))
    assert.ok(one >= 990 && one < 10_000, String(one))
  })
})

describe('A4: objects of other people’s classes', () => {
  const sse = (...events: object[]) =>
    new Response(events.map((e) => `event: ${(e as { type: string }).type}\ndata: ${JSON.stringify(e)}\n\n`).join(''), {
      headers: { 'content-type': 'text/event-stream' },
    })

  test("anthropic's message stream under latency has its events and its final message", async () => {
    const message = {
      id: 'm',
      type: 'message',
      role: 'assistant',
      content: [],
      model: 'x',
      usage: { input_tokens: 1, output_tokens: 1 },
    }
    const client = new Anthropic({
      apiKey: 'x',
      maxRetries: 0,
      fetch: () =>
        Promise.resolve(
          sse(
            { type: 'message_start', message },
            { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
            { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
            { type: 'content_block_stop', index: 0 },
            { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
            { type: 'message_stop' },
          ),
        ),
    })
    const stream = F(client.messages.stream.bind(client.messages), { ...latency, duration_ms: 100 })
    const texts: string[] = []
    const begun = performance.now()
    const running = stream({ model: 'x', max_tokens: 5, messages: [{ role: 'user', content: 'x' }] }).on(
      'text',
      (text) => texts.push(text),
    )
    assert.equal(await running.finalText(), 'hello')
    assert.ok(performance.now() - begun >= 95)
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(texts, ['hello'])
  })

  test("OpenAI's stream under drop can be split with tee, and both ends are cut", async () => {
    const make = () =>
      new Stream<number>(async function* () {
        for (const n of [1, 2, 3]) yield await Promise.resolve(n)
      }, new AbortController())
    const stream = F(make, { fault_type: 'partial_failure', mode: 'drop', keep_items: 1 })()
    assert.ok(stream instanceof Stream)
    const [left, right] = stream.tee()
    assert.deepEqual(await Promise.all([collect(left), collect(right)]), [[1], [1]])
    assert.deepEqual(await collect(F(make, latency)()), [1, 2, 3])
  })

  test('a file that is read stays the very stream, late, cut, and closed', async () => {
    const path = fileURLToPath(import.meta.url)
    const open = () => createReadStream(path, { highWaterMark: 64 })
    const late = F(open, { ...latency, duration_ms: 100 })()
    assert.equal(late.path, path)
    const begun = performance.now()
    const whole = await new Promise((resolve, reject) => {
      const parts: Buffer[] = []
      late.on('data', (part) => parts.push(part as Buffer)).on('error', reject)
      late.on('close', () => resolve(Buffer.concat(parts).toString()))
    })
    assert.ok(performance.now() - begun >= 95)
    assert.equal(whole, Buffer.concat(await collect(open() as AsyncIterable<Buffer>)).toString())
    const cut = F(open, { fault_type: 'partial_failure', mode: 'drop', keep_items: 2 })()
    assert.equal(Buffer.concat(await collect(cut as AsyncIterable<Buffer>)).length, 128)
    assert.equal(cut.destroyed, true)
    assert.equal(typeof cut.close, 'function')
  })

  test('a stream of calls, as gRPC gives it, keeps cancel and its class', async () => {
    class ServerStream extends Readable {
      #cancelled = false
      constructor() {
        super({ objectMode: true })
      }
      override _read(): void {
        setImmediate(() => {
          this.push({ n: 1 })
          this.push({ n: 2 })
          this.push(null)
        })
      }
      cancel(): boolean {
        return (this.#cancelled = true)
      }
    }
    const made: ServerStream[] = []
    const list = () => {
      made.push(new ServerStream())
      return made.at(-1) as ServerStream
    }
    const late = F(list, latency)()
    assert.equal(late, made[0])
    assert.equal(late.cancel(), true)
    assert.deepEqual(await collect(late as AsyncIterable<unknown>), [{ n: 1 }, { n: 2 }])
    const fails = wrap(list, { faults: [error503], chaos, component: 'list', async: false })
    assert.throws(fails, ChaosError)
  })

  test('a web stream of a class of its own keeps its private fields', async () => {
    class Body extends ReadableStream<number> {
      #name = 'body'
      get named() {
        return this.#name
      }
    }
    const make = () =>
      new Body({
        start(controller) {
          for (const n of [1, 2, 3]) controller.enqueue(n)
          controller.close()
        },
      })
    const body = F(make, { fault_type: 'partial_failure', mode: 'drop', keep_items: 2 })()
    assert.ok(body instanceof Body)
    assert.equal(body.named, 'body')
    const reader = body.getReader()
    assert.deepEqual(
      [(await reader.read()).value, (await reader.read()).value, (await reader.read()).done],
      [1, 2, true],
    )
  })

  test('a class’s instance is left alone by faults in data, and an earlier answer is still its instance', () => {
    class Account {
      #balance = 5
      balance = () => this.#balance
    }
    for (const mode of ['stale', 'truncate', 'wrong_values', 'bit_flip'] as const) {
      const get = F(() => new Account(), { fault_type: 'data_corruption', mode })
      assert.deepEqual([get().balance(), get().balance()], [5, 5], mode)
    }
  })
})
