/** Errors as retry code knows them (A10), faults behind the call (A12), ranges and predicates (A11), streams that break inside (A6). */
/* eslint-disable @typescript-eslint/require-await, @typescript-eslint/no-unused-vars -- that a function is async, and what it takes, is what is tested */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { chaosMiddleware, wrapFetch } from '../../src/faults/adapters/index.ts'
import { ChaosError, FaultConfigError, FaultSequence, wrap } from '../../src/faults/index.ts'
import type { FaultConfig, FiredFault } from '../../src/faults/index.ts'
import { ToolFaults } from '../../src/mcp/tool-faults.ts'
import { enabled, errorOf, timeOf } from './helpers.ts'

const chaos = enabled()
const put = <F extends (...args: never[]) => unknown>(fn: F, ...faults: FaultConfig[]): F => wrap(fn, { chaos, faults })
const got = (call: () => unknown) => errorOf(call) as Promise<Error & Record<string, unknown>>
const latency: FaultConfig = { fault_type: 'latency', duration_ms: 30 }

describe('A10: errors that retry code knows', () => {
  test('an injected 503 has statusCode, which NestJS and Express look at', async () => {
    const error = await got(put(async () => 1, { fault_type: 'error', error_code: 503 }))
    assert.deepEqual([error['status'], error['statusCode'], error['error_code']], [503, 503, 503])
  })

  test('a connection that fails has a code and no status; a timeout is ETIMEDOUT', async () => {
    const error = await got(put(async () => 1, { fault_type: 'error', code: 'ECONNRESET' }))
    assert.ok(error instanceof ChaosError)
    assert.deepEqual(
      [error.message, error['code'], error.status],
      ['[ECONNRESET] injected error', 'ECONNRESET', undefined],
    )
    assert.equal((await got(put(async () => 1, { fault_type: 'timeout' })))['code'], 'ETIMEDOUT')
  })

  test('gRPC: the number of the status and its details, thrown and in a callback', async () => {
    const fault: FaultConfig = { fault_type: 'error', code: 14, error_message: 'no connection', callback: true }
    const call = (_: string, done: (error: unknown, answer?: string) => void) => done(null, 'ok')
    const error = await new Promise<Record<string, unknown>>((resolve) => put(call, fault)('x', resolve as never))
    assert.deepEqual([error['code'], error['details']], [14, 'no connection'])
    assert.equal((await got(put(async () => 1, fault)))['code'], 14)
  })

  test('the application makes its own error, of its own class, or throws it', async () => {
    class Mine extends Error {}
    const error = () => new Mine('own')
    for (const fault of [
      { fault_type: 'error' },
      { fault_type: 'timeout' },
      { fault_type: 'resource_exhaustion' },
    ] as const)
      assert.ok((await got(put(async () => 1, { ...fault, error }))) instanceof Mine)
    const thrown = () => {
      throw new Mine()
    }
    assert.ok((await got(put(() => 1, { fault_type: 'error', error: thrown }))) instanceof Mine)
    const status = { code: 14 }
    await assert.rejects(
      put(async () => 1, { fault_type: 'error', error: () => status }),
      (raised) => raised === status,
    )
  })

  test('the answers of large APIs: body, status, retry-after, and what their clients read from them', async () => {
    const answer = async (fault: FaultConfig) => {
      const response = await wrapFetch((_: string) => Promise.resolve(new Response('ok')), { chaos, faults: [fault] })(
        'https://x.test',
      )
      return [response.status, response.headers.get('retry-after'), await response.json()] as [
        number,
        string | null,
        never,
      ]
    }
    const [status, , body] = await answer({ fault_type: 'error', body: 'overloaded_error' })
    assert.deepEqual([status, body], [529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' }, request_id: null }]) // prettier-ignore
    assert.deepEqual((await answer({ fault_type: 'error', body: 'rate_limit_exceeded' })).slice(0, 2), [429, '1'])
    const own = { detail: 'no' }
    assert.deepEqual(await answer({ fault_type: 'error', error_code: 422, body: own }), [422, null, own])
    const fetch = wrapFetch(globalThis.fetch, { chaos, faults: [{ fault_type: 'error', body: 'insufficient_quota' }] })
    const client = new OpenAI({ apiKey: 'x', fetch, maxRetries: 0 })
    const error = await got(() => client.models.list())
    assert.deepEqual([error['status'], error['code']], [429, 'insufficient_quota'])
    const thrown = await got(put(async () => 1, { fault_type: 'error', body: 'overloaded_error' }))
    assert.deepEqual([thrown['status'], thrown['type']], [529, 'overloaded_error'])
  })

  test('fetch failed has a cause with a code, as undici gives it', async () => {
    for (const [fault, networkError, code] of [
      [{ fault_type: 'error', error_code: 503 }, true, 'ECONNRESET'],
      [{ fault_type: 'error', code: 'ECONNREFUSED' }, false, 'ECONNREFUSED'],
      [{ fault_type: 'timeout' }, false, 'ETIMEDOUT'],
    ] as const) {
      const get = wrapFetch((_: string) => Promise.resolve(new Response()), { chaos, networkError, faults: [fault] })
      const error = await got(() => get('https://x.test'))
      assert.ok(error instanceof TypeError)
      assert.deepEqual([error.message, (error.cause as { code: string }).code], ['fetch failed', code])
    }
  })

  test('the AI SDK retries a connection that broke, and sees the body of an answer', async () => {
    const generate = (fault: FaultConfig) =>
      got(() =>
        chaosMiddleware({ chaos, faults: [fault] }).wrapGenerate({ doGenerate: () => Promise.resolve(1), params: {} }),
      )
    const lost = await generate({ fault_type: 'error', code: 'ECONNRESET' })
    assert.deepEqual([lost['statusCode'], lost['isRetryable']], [undefined, true])
    const refused = await generate({ fault_type: 'error', body: 'overloaded_error' })
    assert.match(String(refused['responseBody']), /overloaded_error/)
  })

  test('callback style: errors and waits take the way of the callback, once, never thrown, and the function is called once', async () => {
    let calls = 0
    const read = (name: string, done: (error: Error | null, text?: string) => void): string => {
      calls++
      setImmediate(done, null, name)
      return 'handle'
    }
    const ask = (...faults: FaultConfig[]) =>
      new Promise<[Error | null, string | undefined]>((resolve) =>
        wrap(read, { chaos, faults, callback: true })('a', (error, text) => resolve([error, text])),
      )
    assert.match(String((await ask({ fault_type: 'error', error_code: 503 }))[0]), /\[503\]/)
    assert.equal(calls, 0)
    assert.ok((await timeOf(async () => assert.deepEqual(await ask(latency), [null, 'a']))) >= 28)
    assert.match(String((await ask({ fault_type: 'error', error_code: 503, after: true }))[0]), /\[503\]/)
    assert.deepEqual(await ask({ ...latency, after: true }), [null, 'a'])
    assert.equal(calls, 3)
    assert.equal(
      wrap(read, { chaos, callback: true })('a', () => undefined),
      'handle',
    )
  })

  test('a proxy of MCP says the code of a broken connection', async () => {
    const faults = new ToolFaults({ faults: [{ fault_type: 'error', code: 'ECONNRESET' }], protocolError: true })
    const said = String(await faults.call('t', 1, () => assert.fail('sent'), new AbortController().signal))
    assert.match(said, /\[ECONNRESET\] injected error/)
    assert.match(said, /"code":"ECONNRESET"/)
  })
})

describe('A12: the work was done, the answer is lost', () => {
  const error: FaultConfig = { fault_type: 'error', error_code: 503, after: true }

  test('functions of every kind are called once, and their answer is lost or late', async () => {
    let done = 0
    const lazy = () => ({
      then: (ok: (row: string) => void) => {
        done++
        ok('row')
      },
    })
    const kinds: Record<string, () => unknown> = {
      sync: () => ++done,
      async: async () => ++done,
      promise: () => Promise.resolve(++done),
      lazy: async () => lazy(),
    }
    for (const [kind, fn] of Object.entries(kinds)) {
      done = 0
      assert.match((await got(put(fn, error))).message, /503/, kind)
      assert.equal(done, 1, kind)
      const begun = performance.now()
      await put(fn, { ...latency, after: true })()
      assert.ok(performance.now() - begun >= 28, kind)
      assert.equal(done, 2, kind)
      assert.match((await got(put(fn, { fault_type: 'timeout', duration_ms: 5, after: true }))).message, /within 5 ms/)
      assert.equal(done, 3, kind)
    }
  })

  test('a call that fails by itself keeps its error, and no fault is counted', async () => {
    const fired: FiredFault[] = []
    const own = new Error('own')
    const fails = wrap(() => Promise.reject(own), {
      chaos,
      async: true,
      faults: [error],
      fired: (one) => void fired.push(one),
    })
    assert.equal(await errorOf(fails), own)
    assert.equal(fired.length, 0)
    await errorOf(wrap(async () => 1, { chaos, faults: [error], fired: (one) => void fired.push(one) }))
    assert.equal(fired.length, 1)
  })

  test('items of a stream all come, and the error instead of the end', async () => {
    const items = put(async function* () {
      yield 1
      yield 2
    }, error)()
    const seen: number[] = []
    await assert.rejects(async () => {
      for await (const item of items) seen.push(item)
    }, ChaosError)
    assert.deepEqual(seen, [1, 2])
  })

  test('a fetch has been answered, and its body is let go', async () => {
    let [asked, cancelled] = [0, false]
    const body = new ReadableStream({ cancel: () => void (cancelled = true) })
    const bare = (_: string) => Promise.resolve((asked++, new Response(body)))
    assert.equal((await wrapFetch(bare, { chaos, faults: [error] })('https://x.test')).status, 503)
    assert.deepEqual([asked, cancelled], [1, true])
  })

  test('a proxy of MCP gives the call to the server, and an error to the client', async () => {
    let sent = 0
    const body = { jsonrpc: '2.0', id: 1, result: { content: [] } }
    const send = () => Promise.resolve((sent++, { raw: Buffer.from(JSON.stringify(body)), body }))
    const said = await new ToolFaults({ faults: [error] }).call('t', 1, send, new AbortController().signal)
    assert.match(String(said), /"isError":true/)
    assert.equal(sent, 1)
  })
})

describe('A11: content and ranges', () => {
  const error: FaultConfig = { fault_type: 'error', error_code: 503 }

  test('only the calls of one customer, and only they are counted', async () => {
    const when = ([id]: readonly unknown[]) => id === 'a'
    const call = put(async (id: string) => id, { ...error, when, first_n: 1 })
    assert.equal(await call('b'), 'b')
    assert.match((await got(() => call('a'))).message, /503/)
    assert.equal(await call('a'), 'a')
    const get = wrapFetch((_: string) => Promise.resolve(new Response()), {
      chaos,
      faults: [{ ...error, when: ([url]) => String(url).endsWith('/a') }],
    })
    assert.deepEqual([(await get('https://x.test/b')).status, (await get('https://x.test/a')).status], [200, 503])
  })

  test('a predicate that throws means no call, and says so once', async (t) => {
    const warn = t.mock.method(console, 'warn', () => undefined)
    const call = put(async (id: { name: string }) => id.name, {
      ...error,
      when: ([id]) => (id as { x: { y: number } }).x.y === 1,
    })
    assert.equal(await call({ name: 'a' }), 'a')
    assert.equal(await call({ name: 'a' }), 'a')
    assert.equal(warn.mock.callCount(), 1)
  })

  test('delays from a range are drawn from the seed, both ends included, and the same seed draws the same', async (t) => {
    const drawn = (seed: number) => {
      const waits: number[] = []
      const sleep = t.mock.method(chaos.waits, 'sleep', (ms: number) => Promise.resolve((waits.push(ms), true)))
      const fault: FaultConfig = { fault_type: 'latency', duration_ms: { from: 100, to: 103 } }
      const call = wrap(async () => 1, { chaos, faults: [fault], sequence: new FaultSequence({ seed }) })
      const all = Array.from({ length: 50 }, call)
      return Promise.all(all).then(() => (sleep.mock.restore(), waits))
    }
    const first = await drawn(1)
    assert.deepEqual([...new Set(first)].sort(), [100, 101, 102, 103])
    assert.deepEqual(await drawn(1), first)
    assert.notDeepEqual(await drawn(2), first)
  })
})

describe('A6: streams that stall or break half-way', () => {
  const reset: FaultConfig = { fault_type: 'error', reset_after_items: 2 }
  const stall: FaultConfig = { fault_type: 'latency', stall_after_items: 1, stall_ms: 60 }
  const sources: Record<string, () => AsyncIterable<number>> = {
    'an async generator': async function* () {
      yield* [1, 2, 3]
    },
    'a web stream': () => ReadableStream.from([1, 2, 3]) as AsyncIterable<number>,
    'a Node stream': () => Readable.from([1, 2, 3]),
  }
  const readFrom = async (items: AsyncIterable<number>) => {
    const seen: number[] = []
    const error = await errorOf(async () => {
      for await (const item of items) seen.push(item)
      throw new Error('end')
    })
    return { seen, error: error as Error & { code?: string } }
  }

  for (const [name, make] of Object.entries(sources)) {
    test(`${name} breaks off after two items as a socket does`, async () => {
      const { seen, error } = await readFrom(put(make, reset)())
      assert.equal(error.code, 'ECONNRESET')
      // What a Node stream has buffered is lost with its connection.
      if (name !== 'a Node stream') assert.deepEqual(seen, [1, 2])
      else assert.ok(seen.length <= 2)
    })
    test(`${name} stalls after one item, and goes on`, async () => {
      const begun = performance.now()
      const { seen, error } = await readFrom(put(make, stall)())
      assert.deepEqual([seen, error.message], [[1, 2, 3], 'end'])
      assert.ok(performance.now() - begun >= 58)
    })
  }

  test('a stall ends when its reader goes away, when its signal aborts, and with the fault', async () => {
    const long: FaultConfig = { fault_type: 'latency', stall_after_items: 1, stall_ms: 60_000 }
    const stream = put(sources['a web stream'] as (signal?: AbortSignal) => AsyncIterable<number>, long)
    const reader = (stream() as unknown as ReadableStream).getReader()
    await reader.read()
    const next = reader.read()
    await reader.cancel()
    assert.equal((await next).done, true)
    const abort = new AbortController()
    const reading = readFrom(stream(abort.signal))
    setTimeout(() => abort.abort(new Error('given up')), 20)
    assert.equal((await reading).error.message, 'given up')
    const own = enabled()
    const freed = readFrom(wrap(sources['an async generator'] ?? assert.fail(), { chaos: own, faults: [long] })())
    setTimeout(() => own.disable(), 20)
    assert.deepEqual((await freed).seen, [1, 2, 3])
  })

  test('the body of a fetch breaks off as undici says it: terminated, with a cause', async () => {
    const events = ['data: 1\n\n', ': ping\n\ndata: 2\n\n', 'data: 3\n\n']
    for (const type of ['text/event-stream', 'application/octet-stream']) {
      const bare = (_: string) =>
        Promise.resolve(
          new Response(ReadableStream.from(events.map((text) => new TextEncoder().encode(text))), {
            headers: { 'content-type': type },
          }),
        )
      const response = await wrapFetch(bare, { chaos, faults: [reset] })('https://x.test')
      let text = ''
      const error = await got(async () => {
        for await (const chunk of response.body ?? assert.fail()) text += new TextDecoder().decode(chunk as Uint8Array)
      })
      assert.ok(error instanceof TypeError)
      assert.deepEqual([error.message, (error.cause as { code: string }).code], ['terminated', 'ECONNRESET'])
      assert.equal(text, 'data: 1\n\n: ping\n\ndata: 2\n\n')
    }
  })

  test('a tool call that a model streams breaks off half-way', async () => {
    const parts = [
      { type: 'tool-input-start', id: '1', toolName: 'x' },
      { type: 'tool-input-delta', id: '1', delta: '{"a":' },
      { type: 'tool-input-delta', id: '1', delta: '1' },
      { type: 'tool-input-delta', id: '1', delta: '}' },
    ]
    const doStream = () => Promise.resolve({ stream: ReadableStream.from(parts) })
    const { stream } = await chaosMiddleware({ chaos, faults: [reset] }).wrapStream({ doStream, params: {} })
    const seen: unknown[] = []
    const error = await got(async () => {
      for await (const part of stream) seen.push(part)
    })
    assert.deepEqual([seen, error['code']], [parts.slice(0, 3), 'ECONNRESET'])
  })
})

test('new fields that cannot be meant are refused with their place', async () => {
  const wrong: [FaultConfig, RegExp][] = [
    [{ fault_type: 'latency', duration_ms: { from: 9, to: 1 } }, /faults\[0\]: duration_ms must be \{from, to\}/],
    [{ fault_type: 'latency', stall_after_items: 2 }, /stall_after_items needs stall_ms/],
    [{ fault_type: 'latency', duration_ms: 1, reset_after_items: 2 }, /reset_after_items means nothing for latency/],
    [{ fault_type: 'partial_failure', after: true }, /after means nothing for partial_failure/],
    [{ fault_type: 'error', reset_after_items: 1, after: true }, /after means nothing with reset_after_items/],
    [{ fault_type: 'error', body: 'overload' as never }, /body must be one of overloaded_error/],
    [{ fault_type: 'error', body: {} }, /error needs error_code/],
    [{ fault_type: 'error', code: '' }, /code must be/],
    [{ fault_type: 'error', error_code: 1, when: 'x' as never }, /when must be a function/],
    [{ fault_type: 'error', error_code: 1, after: 'yes' as never }, /after must be true or false/],
  ]
  for (const [fault, message] of wrong) {
    const error = await errorOf(() => put(() => 1, fault))
    assert.ok(error instanceof FaultConfigError)
    assert.match(error.message, message)
  }
})
