/** A wrapped function is still the function: this, name, types, promises, generators, streams; and its faults fit its kind. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import {
  callSite,
  ChaosError,
  ChaosTimeoutError,
  chaosMonkey,
  FaultConfigError,
  resilienceTest,
  wrap,
} from '../../src/faults/index.ts'
import type { FaultConfig, Wrapper } from '../../src/faults/index.ts'
import { collect, enabled, error503, errorOf, timeOf } from './helpers.ts'

const chaos = enabled()
const monkey = (fault: FaultConfig): Wrapper => chaosMonkey({ ...fault, chaos })
const slow: FaultConfig = { fault_type: 'latency', duration_ms: 80 }
const never: FaultConfig = { ...error503, probability: 0 }

describe('what stays the same', () => {
  test('name, length, own properties and the very promise stay', () => {
    const promise = Promise.resolve(1)
    const fn = Object.assign(
      (a: number, b: string) => (a > 0 && b !== '' ? promise : Promise.reject(new Error('arguments'))),
      { version: 2 },
    )
    const wrapped = monkey(never)(fn)
    assert.equal(wrapped.name, fn.name)
    assert.equal(wrapped.length, 2)
    assert.equal(wrapped.version, 2)
    assert.equal(wrapped(1, 'x'), promise)
  })

  test('this and private fields stay, in decorated methods, static methods and generators', async () => {
    class Counter {
      #n = 40
      static base = 1
      @monkey(never)
      async add(n: number): Promise<number> {
        return Promise.resolve(this.#n + n)
      }
      @monkey(never)
      *upTo(n: number): Generator<number> {
        for (let i = this.#n; i < this.#n + n; i++) yield i
      }
      @monkey(never)
      static next(): number {
        return this.base + 1
      }
    }
    const counter = new Counter()
    assert.equal(await counter.add(2), 42)
    assert.deepEqual([...counter.upTo(2)], [40, 41])
    assert.equal(Counter.next(), 2)
    assert.equal(counter.add.name, 'add')
  })

  test('errors of the function itself pass through unchanged', async () => {
    const own = new Error('own')
    const fails = monkey(slow)(() => Promise.reject(own))
    assert.equal(await errorOf(fails), own)
    assert.equal(await errorOf(fails), own)
  })

  test('a decorator on something else than a method says what to do instead', async () => {
    const decorate = monkey(never) as unknown as (value: unknown, context: unknown) => unknown
    assert.match(
      (await errorOf(() => decorate(undefined, { kind: 'field', name: 'x' }))).message,
      /not a field: wrap the/,
    )
    const legacy = await errorOf(() => decorate({}, 'method'))
    assert.ok(legacy instanceof FaultConfigError)
    assert.match(legacy.message, /not a property or an accessor/)
  })
})

describe('asynchronous functions', () => {
  test('latency is awaited: many calls wait side by side', async () => {
    const fn = monkey(slow)(async (n: number) => Promise.resolve(n))
    const took = await timeOf(() => Promise.all(Array.from({ length: 50 }, (_, i) => fn(i))))
    assert.ok(took >= 75 && took < 2000, String(took))
  })

  test('an error is a rejection, never thrown, and the function is not called', async () => {
    let calls = 0
    const fn = monkey(error503)(async () => Promise.resolve(++calls))
    const promise = fn()
    assert.ok((await errorOf(() => promise)) instanceof ChaosError)
    const told = chaosMonkey({ ...error503, chaos, async: true })(() => Promise.resolve(++calls))
    assert.ok((await errorOf(() => told().catch((e: unknown) => Promise.reject(e as Error)))) instanceof ChaosError)
    assert.equal(calls, 0)
  })

  test('a plain function that returns a promise is never blocked, not even in its first call', async () => {
    const fn = monkey(slow)(() => Promise.resolve(1))
    const begun = performance.now()
    const promise = fn()
    assert.ok(performance.now() - begun < 40, 'the call itself blocked')
    assert.equal(await promise, 1)
    assert.ok(performance.now() - begun >= 75)
  })

  test('a timeout hangs until its deadline, then rejects', async () => {
    const fn = monkey({ fault_type: 'timeout', duration_ms: 80 })(async () => Promise.resolve(1))
    let error: Error | undefined
    const took = await timeOf(async () => (error = await errorOf(fn)))
    assert.ok(error instanceof ChaosTimeoutError)
    assert.equal(error.message, '[timeout] no answer within 80 ms')
    assert.ok(took >= 75, String(took))
  })

  test('an AbortSignal among the arguments ends an injected wait with its own reason', async () => {
    const reason = new Error('gave up')
    const fn = monkey({ fault_type: 'timeout', duration_ms: 60_000 })(
      async (url: string, options: { signal?: AbortSignal }) => Promise.resolve([url, options]),
    )
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 20)
    assert.equal(await errorOf(() => fn('x', { signal: controller.signal })), reason)
    assert.equal(await errorOf(() => fn('x', { signal: AbortSignal.abort(reason) })), reason)
  })

  test('several faults are asked in order, and one that raises ends the asking', async () => {
    const seen: string[] = []
    const fn = resilienceTest({
      chaos,
      fired: ({ fault }) => seen.push(fault.fault_type),
      faults: [{ ...slow, duration_ms: 10 }, error503, { fault_type: 'timeout' }],
    })(async () => Promise.resolve(1))
    assert.ok((await errorOf(fn)) instanceof ChaosError)
    assert.deepEqual(seen, ['latency', 'error'])
  })
})

describe('generators and streams', () => {
  async function* tokens(): AsyncGenerator<string> {
    for (const token of ['one ', 'two ', 'three ', 'four ']) yield Promise.resolve(token)
  }

  test('a generator stays lazy: its faults come with the first item', async () => {
    const fn = monkey(error503)(function* (): Generator<number> {
      yield 1
    })
    const items = fn()
    assert.ok((await errorOf(() => items.next())) instanceof ChaosError)
  })

  test('partial_failure and data_corruption end a generator early, and close it', () => {
    let closed = false
    function* numbers(): Generator<number> {
      try {
        for (let i = 0; ; i++) yield i
      } finally {
        closed = true
      }
    }
    const fn = monkey({ fault_type: 'partial_failure', mode: 'drop', keep_items: 3 })(numbers)
    assert.deepEqual([...fn()], [0, 1, 2])
    assert.ok(closed)
  })

  test('an async generator begins late, ends early, or carries one wrong item', async () => {
    const late = monkey(slow)(tokens)
    const begun = performance.now()
    assert.equal((await collect(late())).length, 4)
    assert.ok(performance.now() - begun >= 75)
    const short = monkey({ fault_type: 'partial_failure', mode: 'drop', keep_items: 2 })(tokens)
    assert.deepEqual(await collect(short()), ['one ', 'two '])
    const cut = monkey({ fault_type: 'data_corruption', mode: 'cut_stream', keep_items: 2 })(tokens)
    assert.deepEqual(await collect(cut()), ['one ', 'tw'])
    const wrong = await collect(monkey({ fault_type: 'data_corruption', mode: 'wrong_values' })(tokens)())
    assert.deepEqual(wrong.slice(1), ['two ', 'three ', 'four '])
    assert.notEqual(wrong[0], 'one ')
    assert.equal(wrong[0]?.length, 4)
  })

  test('a web stream stays a web stream, and a reader that gives up closes its source', async () => {
    let cancelled = 0
    const source = async () => {
      const items = [1, 2, 3]
      return Promise.resolve(
        new ReadableStream<number>({
          pull(controller) {
            const item = items.shift()
            if (item === undefined) controller.close()
            else controller.enqueue(item)
          },
          cancel: () => {
            cancelled++
          },
        }),
      )
    }
    const fn = monkey({ fault_type: 'partial_failure', mode: 'drop', keep_items: 2 })(source)
    const stream = await fn()
    assert.ok(stream instanceof ReadableStream)
    const reader = stream.getReader()
    assert.deepEqual(
      [await reader.read(), await reader.read()].map((r) => r.value),
      [1, 2],
    )
    assert.equal((await reader.read()).done, true)
    assert.equal(cancelled, 1)
    await (await fn()).cancel()
    assert.equal(cancelled, 2)
  })

  test("a stream of Node's stays one", async () => {
    const fn = monkey({ fault_type: 'partial_failure', mode: 'drop', keep_items: 1 })(async () =>
      Promise.resolve(Readable.from(['a', 'b'])),
    )
    const stream = await fn()
    assert.ok(stream instanceof Readable)
    assert.deepEqual(await collect(stream), ['a'])
  })

  test('an object that can be iterated keeps the rest of what it has', async () => {
    const answer = { usage: { tokens: 4 }, [Symbol.asyncIterator]: () => tokens() }
    const fn = monkey({ fault_type: 'partial_failure', mode: 'drop', keep_items: 1 })(async () =>
      Promise.resolve(answer),
    )
    const got = await fn()
    assert.deepEqual(got.usage, { tokens: 4 })
    assert.deepEqual(await collect(got), ['one '])
  })
})

describe('callSite, for adapters', () => {
  test('runs any call under a component name, with faults and a signal', async () => {
    const fired: string[] = []
    const site = callSite('http', { chaos, faults: [error503], fired: (f) => fired.push(f.component) })
    assert.ok((await errorOf(() => site.call(() => 1))) instanceof ChaosError)
    assert.deepEqual(fired, ['http'])
    assert.equal(await callSite('quiet', { chaos }).call(() => Promise.resolve(2)), 2)
    assert.ok(chaos.components().includes('http'))
  })

  test('wrap alone breaks nothing and names a component', () => {
    const own = enabled()
    const fn = wrap((n: number) => n + 1, { component: 'adder', chaos: own })
    assert.equal(fn(1), 2)
    assert.deepEqual(own.components(), ['adder'])
  })
})
