/** The adapters with the real packages: what their users see of each fault, and that nothing changes without one. */
import Anthropic from '@anthropic-ai/sdk'
import { generateText, simulateReadableStream, stepCountIs, streamText, tool, wrapLanguageModel } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import OpenAI from 'openai'
import { z } from 'zod'
import { chaosMiddleware, wrapFetch, wrapMcpClient, wrapMcpTools, wrapTools } from '../../src/faults/adapters/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { enabled, errorOf, timeOf } from './helpers.ts'

const withFault = (...faults: FaultConfig[]) => ({ chaos: enabled(), faults, seed: 1 })

/** An API of both vendors, on loopback; counts what reaches it. */
let base = ''
let requests = 0
const CHAT = {
  id: 'c',
  object: 'chat.completion',
  choices: [{ index: 0, message: { role: 'assistant', content: 'four' } }],
}
const MESSAGE = { id: 'm', type: 'message', role: 'assistant', content: [{ type: 'text', text: 'four' }] }
const server = createServer((request: IncomingMessage, response: ServerResponse) => {
  requests++
  request.resume()
  if (request.url === '/sse') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let i = 0; i < 4; i++) response.write(`event: n\ndata: {"n":${i + 10}}\n\n`)
    response.end('data: [DONE]\n\n')
    return
  }
  answer(response, request.url === '/list' ? [1, 2, 3, 4] : request.url?.includes('chat') === true ? CHAT : MESSAGE)
})
function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(() => server.close())

describe('wrapFetch', () => {
  test('without a fault the answer is the very answer of fetch', async () => {
    const chaos = enabled()
    const own = Response.json({ a: 1 })
    assert.equal(await wrapFetch(() => Promise.resolve(own), { chaos })(), own)
  })

  test('the component is the host unless told, and an experiment finds it there', async () => {
    const chaos = enabled()
    await wrapFetch(fetch, { chaos })(`${base}/list`)
    await wrapFetch(fetch, { chaos, component: (url) => url.pathname })(new Request(`${base}/list`))
    assert.deepEqual(chaos.components(), ['/list', new URL(base).host])
  })

  test('latency waits, and an abort ends the wait with the reason of the signal', async () => {
    const slow = wrapFetch(fetch, withFault({ fault_type: 'latency', duration_ms: 60_000 }))
    const reason = new Error('enough')
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 20)
    assert.equal(await errorOf(() => slow(base, { signal: controller.signal })), reason)
    const quick = wrapFetch(fetch, withFault({ fault_type: 'latency', duration_ms: 50 }))
    assert.ok((await timeOf(() => quick(`${base}/list`))) >= 49)
  })

  test('error is an answer with its status, or with networkError a fetch that fails; the server is not asked', async () => {
    const before = requests
    const fault = withFault({ fault_type: 'error', error_code: 503, retry_after_seconds: 2 })
    const response = await wrapFetch(fetch, fault)(base)
    assert.equal(response.status, 503)
    assert.equal(response.headers.get('retry-after'), '2')
    const { error } = (await response.json()) as { error: { message: string } }
    assert.match(error.message, /^\[503\] injected error/)
    const failed = await errorOf(() => wrapFetch(fetch, { ...fault, networkError: true })(base))
    assert.ok(failed instanceof TypeError)
    assert.equal(failed.message, 'fetch failed')
    assert.equal(requests, before)
  })

  test('timeout fails as a network does that never answers', async () => {
    const error = await errorOf(() => wrapFetch(fetch, withFault({ fault_type: 'timeout', duration_ms: 30 }))(base))
    assert.ok(error instanceof TypeError)
    assert.match(String(error.cause), /no answer within 30 ms/)
  })

  test('rate_limit is 429 with Retry-After', async () => {
    const response = await wrapFetch(fetch, withFault({ fault_type: 'resource_exhaustion', mode: 'rate_limit' }))(base)
    assert.deepEqual([response.status, response.headers.get('retry-after')], [429, '1'])
  })

  test('partial_failure and data_corruption change the body: less, wrong, or no JSON any more', async () => {
    const body = async (fault: FaultConfig) => (await wrapFetch(fetch, withFault(fault))(`${base}/list`)).text()
    assert.equal((JSON.parse(await body({ fault_type: 'partial_failure', mode: 'drop' })) as number[]).length, 2)
    const wrong = JSON.parse(await body({ fault_type: 'data_corruption', mode: 'wrong_values' })) as number[]
    assert.equal(wrong.length, 4)
    assert.notDeepEqual(wrong, [1, 2, 3, 4])
    const cut = await body({ fault_type: 'data_corruption', mode: 'truncate' })
    assert.ok('[1,2,3,4]'.startsWith(cut) && cut.length < 9)
    assert.throws(() => JSON.parse(cut) as unknown, SyntaxError)
  })

  test('an event stream stays one: events are changed or missing, and a cut one ends early', async () => {
    const events = async (fault: FaultConfig) => (await wrapFetch(fetch, withFault(fault))(`${base}/sse`)).text()
    const plain = await (await fetch(`${base}/sse`)).text()
    const wrong = await events({ fault_type: 'data_corruption', mode: 'wrong_values' })
    assert.match(wrong, /^event: n\ndata: \{"n":(?!10\})\d+\}\n\nevent: n\ndata: \{"n":11\}/)
    assert.ok(wrong.endsWith('data: [DONE]\n\n'))
    assert.ok(plain.startsWith(await events({ fault_type: 'partial_failure', mode: 'drop', keep_items: 2 })))
    const cut = await events({ fault_type: 'data_corruption', mode: 'cut_stream', keep_items: 2 })
    assert.equal(cut, 'event: n\ndata: {"n":10}\n\nevent: n\ndata: {"n"\n\n')
  })
})

describe('the SDKs of OpenAI and Anthropic, with fetch: wrapFetch(fetch)', () => {
  const ask = {
    openai: (fetch: typeof globalThis.fetch) =>
      new OpenAI({ apiKey: 'x', baseURL: base, fetch, maxRetries: 0 }).chat.completions
        .create({ model: 'm', messages: [{ role: 'user', content: '2+2' }] })
        .then((chat) => chat.choices[0]?.message.content),
    anthropic: (fetch: typeof globalThis.fetch) =>
      new Anthropic({ apiKey: 'x', baseURL: base, fetch, maxRetries: 0 }).messages
        .create({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: '2+2' }] })
        .then(({ content: [part] }) => (part?.type === 'text' ? part.text : undefined)),
  }
  for (const [name, call] of Object.entries(ask)) {
    test(`${name}: works without a fault, and sees a 429 with its message as its own error`, async () => {
      assert.equal(await call(wrapFetch(fetch, { chaos: enabled() })), 'four')
      const limited = withFault({ fault_type: 'resource_exhaustion', mode: 'rate_limit' })
      const error = await errorOf(() => call(wrapFetch(fetch, limited)))
      assert.equal(error.constructor.name, 'RateLimitError')
      assert.match(error.message, /\[429\] rate limit reached/)
    })

    test(`${name}: a timeout is its own timeout error, and cut JSON reaches its parser`, async () => {
      const error = await errorOf(() => call(wrapFetch(fetch, withFault({ fault_type: 'timeout' }))))
      assert.equal(error.constructor.name, 'APIConnectionTimeoutError')
      const cut = wrapFetch(fetch, withFault({ fault_type: 'data_corruption', mode: 'truncate' }))
      await assert.rejects(call(cut))
    })
  }

  test('openai retries a 503 as it does a real one', async () => {
    const client = new OpenAI({
      apiKey: 'x',
      baseURL: base,
      maxRetries: 1,
      fetch: wrapFetch(fetch, withFault({ fault_type: 'error', error_code: 503, first_n: 1, retry_after_seconds: 0 })),
    })
    const chat = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: '2+2' }] })
    assert.equal(chat.choices[0]?.message.content, 'four')
  })
})

describe('the AI SDK', () => {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  const finish = { unified: 'stop' as const, raw: undefined }
  const model = (...texts: string[]) =>
    new MockLanguageModelV3({
      doGenerate: () =>
        Promise.resolve({
          content: [{ type: 'text', text: texts.join('') }],
          finishReason: finish,
          usage,
          warnings: [],
        }),
      doStream: () =>
        Promise.resolve({
          stream: simulateReadableStream({
            chunks: [
              { type: 'text-start', id: '1' } as const,
              ...texts.map((delta) => ({ type: 'text-delta', id: '1', delta }) as const),
              { type: 'text-end', id: '1' } as const,
              { type: 'finish', finishReason: finish, usage } as const,
            ],
          }),
        }),
    })
  const broken = (...faults: FaultConfig[]) =>
    wrapLanguageModel({ model: model('The ', 'answer ', 'is 42'), middleware: chaosMiddleware(withFault(...faults)) })
  const generate = (...faults: FaultConfig[]) => generateText({ model: broken(...faults), prompt: 'x', maxRetries: 0 })

  test('chaosMiddleware changes nothing without a fault, and retries are those of the SDK', async () => {
    assert.equal((await generate()).text, 'The answer is 42')
    const flaky = broken({ fault_type: 'error', error_code: 503, first_n: 1, retry_after_seconds: 0 })
    assert.equal((await generateText({ model: flaky, prompt: 'x', maxRetries: 1 })).text, 'The answer is 42')
    const error = await errorOf(() => generate({ fault_type: 'error', error_code: 400 }))
    assert.match(error.message, /\[400\]/)
  })

  test('chaosMiddleware gives wrong and cut answers, generated and streamed', async () => {
    const { text } = await generate({ fault_type: 'data_corruption', mode: 'truncate' })
    assert.ok('The answer is 42'.startsWith(text) && text.length < 16)
    const stream = async (fault: FaultConfig) => {
      let all = ''
      for await (const part of streamText({ model: broken(fault), prompt: 'x', onError: () => undefined }).textStream)
        all += part
      return all
    }
    assert.match(await stream({ fault_type: 'data_corruption', mode: 'wrong_values' }), /^(?!The )\w{3} answer is 42$/)
    assert.equal(await stream({ fault_type: 'partial_failure', mode: 'drop', keep_items: 2 }), 'The answer ')
  })

  test('an abort ends an injected wait of the model', async () => {
    const slow = broken({ fault_type: 'latency', duration_ms: 60_000 })
    await assert.rejects(generateText({ model: slow, prompt: 'x', abortSignal: AbortSignal.timeout(30) }), {
      name: 'TimeoutError',
    })
  })

  test('wrapTools: an error is a tool error that the model sees, other tools work, types stay', async () => {
    const inputSchema = z.object({ city: z.string() })
    const tools = wrapTools(
      {
        weather: tool({ inputSchema, execute: ({ city }) => Promise.resolve({ city, degrees: 20 }) }),
        time: tool({ inputSchema, execute: () => Promise.resolve('noon') }),
      },
      withFault({ fault_type: 'error', error_code: 503, affected_components: ['weather'] }),
    )
    const calls = ['weather', 'time'].map((toolName, i) => ({
      type: 'tool-call' as const,
      toolCallId: `${i}`,
      toolName,
      input: '{"city":"Rome"}',
    }))
    const caller = new MockLanguageModelV3({
      doGenerate: () =>
        Promise.resolve({
          content: calls,
          finishReason: { unified: 'tool-calls', raw: undefined },
          usage,
          warnings: [],
        }),
    })
    const { content } = await generateText({ model: caller, tools, prompt: 'x', stopWhen: stepCountIs(1) })
    const failed = content.find((part) => part.type === 'tool-error')
    assert.equal(failed?.toolName, 'weather')
    assert.match(String(failed.error), /\[503\]/)
    assert.equal(content.find((part) => part.type === 'tool-result')?.output, 'noon')
  })
})

describe('MCP', () => {
  class FakeClient {
    #calls = 0
    get calls() {
      return this.#calls
    }
    callTool(params: { name: string; arguments?: object }): Promise<object> {
      this.#calls++
      return Promise.resolve({ content: [{ type: 'text', text: `${params.name} says hello` }] })
    }
  }

  test('wrapMcpClient breaks calls by the names of tools, and leaves the rest of the client as it is', async () => {
    const own = new FakeClient()
    const client = wrapMcpClient(own, withFault({ fault_type: 'error', error_code: 503, affected_components: ['a'] }))
    assert.deepEqual(await client.callTool({ name: 'a' }), {
      content: [{ type: 'text', text: '[503] injected error' }],
      isError: true,
    })
    assert.deepEqual(await client.callTool({ name: 'b' }), { content: [{ type: 'text', text: 'b says hello' }] })
    assert.equal(client.calls, 1)
  })

  test('wrapMcpTools breaks handlers: wrong text in a right envelope, and throwErrors throws', async () => {
    const say = (args: { text: string }, extra: { signal: AbortSignal }) => {
      assert.equal(extra.signal.aborted, false)
      return { content: [{ type: 'text' as const, text: args.text }] }
    }
    const { signal } = new AbortController()
    const wrong = wrapMcpTools({ say }, withFault({ fault_type: 'data_corruption', mode: 'wrong_values' }))
    const { content } = await wrong.say({ text: 'hello' }, { signal })
    assert.match(content[0]!.text, /^(?!hello)[a-z]{5}$/)
    assert.equal(content[0]!.type, 'text')
    const limited = withFault({ fault_type: 'timeout' })
    const throwing = wrapMcpTools({ say }, { ...limited, throwErrors: true })
    assert.equal((await errorOf(() => throwing.say({ text: 'x' }, { signal }))).name, 'ChaosTimeoutError')
    const slow = wrapMcpTools({ say }, withFault({ fault_type: 'latency', duration_ms: 60_000 }))
    const aborted = { signal: AbortSignal.timeout(20) }
    assert.equal((await errorOf(() => slow.say({ text: 'x' }, aborted))).name, 'TimeoutError')
  })
})
