/** The proxy over HTTP against a server that does what real ones seldom do: what passes, what is bounded, who may die. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createConnection } from 'node:net'
import { describe, test } from 'node:test'
import { answerOf, ask, behindProxy, callOf, connections, textOf, until } from './http.ts'

const SSE = { 'content-type': 'text/event-stream' }
const JSON_TYPE = { 'content-type': 'application/json' }
const WRONG = { fault_type: 'data_corruption', mode: 'truncate' } as const
const SLOW = { fault_type: 'latency', duration_ms: 60_000 } as const

/** Everything that is in place and does not fire. */
const QUIET = [
  { fault_type: 'error', error_code: 500, probability: 0 },
  { ...WRONG, probability: 0 },
] as const

describe('what passes', () => {
  test('a request reaches the server as it was sent, and the answer the client, with every header that is not of the connection', async (t) => {
    const seen: { head: string[]; line: string; body: string }[] = []
    const { url } = await behindProxy(
      t,
      (request, response) => {
        void textOf(request).then((body) => {
          seen.push({ head: request.rawHeaders, line: `${request.method} ${request.url}`, body })
          const headers = { ...JSON_TYPE, 'Mcp-Session-Id': 's1', 'Set-Cookie': ['a=1', 'b=2'] }
          response.writeHead(200, 'Very Well', headers).end(answerOf('hello'))
        })
      },
      { faults: [...QUIET], gate: { origins: ['https://example.invalid'] } },
    )
    const headers = {
      Authorization: 'Bearer secret',
      'MCP-Protocol-Version': '2025-06-18',
      'Mcp-Session-Id': 's1',
      'Last-Event-ID': 'e7',
      Accept: 'application/json, text/event-stream',
      'Accept-Encoding': 'gzip',
      Origin: 'https://example.invalid',
      Connection: 'keep-alive, X-Only-Here',
      'X-Only-Here': '1',
    }
    for (const [method, body] of [
      ['POST', callOf('echo')],
      ['POST', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'],
      ['DELETE', undefined],
      ['GET', undefined],
    ] as const) {
      const answer = await ask(`${url}?x=1`, { method, body, headers })
      assert.equal(answer.statusMessage, 'Very Well')
      assert.equal(answer.headers['mcp-session-id'], 's1')
      assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
      assert.equal(await textOf(answer), answerOf('hello'))
      const { head, line, body: received } = seen.at(-1) ?? assert.fail()
      assert.equal(line, `${method} /mcp?x=1`)
      assert.equal(received, body ?? '')
      const isCall = body?.includes('tools/call') === true
      for (const [name, value] of Object.entries(headers)) {
        const at = head.indexOf(name)
        if (name === 'X-Only-Here' || name === 'Connection') assert.ok(!head.includes('X-Only-Here'))
        // The answer to a call must be readable here.
        else if (name === 'Accept-Encoding' && isCall)
          assert.equal(head[head.indexOf('accept-encoding') + 1], 'identity')
        else assert.equal(head[at + 1], value, name)
      }
      assert.equal(head.filter((name) => name.toLowerCase() === 'content-length').length, body === undefined ? 0 : 1)
    }
  })

  test('an event stream is byte for byte the same, with CR LF, comments, ids, and bytes that are no text', async (t) => {
    const stream = Buffer.concat([
      Buffer.from(`\uFEFF: hello\r\n\r\nid: 1\r\ndata:\r\n\r\nid: 2\r\ndata: ${answerOf('ä')}\r\n\r\n`),
      Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0xfe, 0x0d, 0x0d]),
      Buffer.from('retry: 5\n\ndata: half'),
    ])
    const { url } = await behindProxy(
      t,
      (request, response) => {
        request.resume()
        response.writeHead(200, SSE)
        for (const byte of stream) response.write(Buffer.from([byte]))
        response.end()
      },
      { faults: [...QUIET] },
    )
    for (const body of [callOf('echo'), undefined]) {
      const chunks: Buffer[] = []
      for await (const chunk of await ask(url, { body })) chunks.push(chunk as Buffer)
      assert.deepEqual(Buffer.concat(chunks), stream)
    }
  })

  test('the answer is changed inside its event, whose id stays, and events before and after it pass', async (t) => {
    const { url, fired } = await behindProxy(
      t,
      (request, response) => {
        request.resume()
        response.writeHead(200, SSE)
        response.write('data: {"method":"notifications/progress"}\n\n')
        response.write(`id: 7\nevent: message\ndata: ${answerOf('other', 2)}\n\n`)
        response.write(`id: 8\nevent: message\ndata: ${answerOf('abcdef')}\n\n`)
        response.end(': bye\n\n')
      },
      { faults: [WRONG] },
    )
    const text = await textOf(await ask(url, { body: callOf('echo') }))
    assert.match(
      text,
      /^data: \{"method":"notifications\/progress"\}\n\nid: 7\nevent: message\ndata: .*"other".*\n\nid: 8\nevent: message\ndata: .*\n\n: bye\n\n$/,
    )
    assert.doesNotMatch(text, /abcdef/)
    assert.equal(fired.length, 1)
  })

  test('a path that looks like another host, or is a whole URL, goes nowhere', async (t) => {
    const seen: string[] = []
    const { url } = await behindProxy(t, (request, response) => {
      seen.push(request.url ?? '')
      response.end('ours')
    })
    const elsewhere = '//203.0.113.1/mcp'
    for (const path of [elsewhere, `http:${elsewhere}`])
      assert.doesNotMatch(await textOf(await ask(url, { path })), /ours/)
    assert.deepEqual(seen, [])
  })
})

describe('what is bounded', () => {
  test('a request above the limit is refused with 413 and what to do, also while it is still being sent, and the next one passes', async (t) => {
    let asked = 0
    const { url } = await behindProxy(
      t,
      (request, response) => {
        asked++
        request.resume().on('end', () => response.end('ok'))
      },
      { most: 10_000 },
    )
    const response = await ask(url, { body: Buffer.alloc(20 * 2 ** 20, 'x') })
    assert.equal(response.statusCode, 413)
    assert.match(await textOf(response), /larger than 10000 bytes.*--max-message-bytes/)
    assert.equal(asked, 0)
    assert.equal(await textOf(await ask(url, { body: 'x' })), 'ok')
  })

  for (const type of ['application/json', 'text/event-stream'])
    test(`an answer above the limit in ${type} passes as it is, and no fault counts as fired`, async (t) => {
      const json = answerOf('x'.repeat(100_000))
      const text = type === 'application/json' ? json : `id: 1\ndata: ${json}\n\n: after\n\n`
      const { url, fired } = await behindProxy(
        t,
        (request, response) => {
          request.resume()
          response.writeHead(200, { 'content-type': type }).end(text)
        },
        { most: 10_000, faults: [WRONG] },
      )
      assert.equal(await textOf(await ask(url, { body: callOf('echo') })), text)
      assert.equal(fired.length, 0)
    })

  test('an event of 300 MB passes a proxy that may hold 1 MiB, whose memory does not grow by it', async (t) => {
    const piece = Buffer.alloc(2 ** 20, 'x')
    const { url } = await behindProxy(
      t,
      (request, response) => {
        request.resume()
        response.writeHead(200, SSE).write('data: ')
        let left = 300
        const write = (): void => {
          while (left-- > 0) if (!response.write(piece)) return void response.once('drain', write)
          response.end('\n\n')
        }
        write()
      },
      { most: 2 ** 20, faults: [WRONG] },
    )
    const before = process.memoryUsage().rss
    let [most, bytes] = [0, 0]
    for await (const chunk of await ask(url, { body: callOf('echo') })) {
      bytes += (chunk as Buffer).length
      most = Math.max(most, process.memoryUsage().rss)
    }
    assert.equal(bytes, 300 * 2 ** 20 + 8)
    t.diagnostic(`grew by ${Math.round((most - before) / 2 ** 20)} MiB`)
    assert.ok(most - before < 150 * 2 ** 20, `grew by ${most - before} bytes`)
  })

  test('a client that does not read holds the server back, in a call and in a stream that only passes', async (t) => {
    let written = 0
    const piece = Buffer.from(`data: ${'x'.repeat(2 ** 16)}\n\n`)
    const { url } = await behindProxy(t, (request, response) => {
      request.resume()
      response.writeHead(200, SSE)
      const write = (): void => {
        while (!response.destroyed && written < 200 * 2 ** 20) {
          written += piece.length
          if (!response.write(piece)) return void response.once('drain', write)
        }
      }
      write()
    })
    for (const body of [callOf('echo'), undefined]) {
      written = 0
      const response = await ask(url, { body })
      let before = -1
      // It has come to rest.
      await until(async () => {
        if (written === before) return true
        before = written
        await new Promise((resolve) => setTimeout(resolve, 300))
        return written === before
      }, 'the server goes on writing')
      t.diagnostic(`${Math.round(written / 2 ** 10)} KiB on their way`)
      assert.ok(written < 50 * 2 ** 20, `${written} bytes were taken from the server`)
      response.destroy()
    }
  })
})

describe('the death of the server', () => {
  test('that nobody is there is 502 with the reason, and the proxy goes on when it is back', async (t) => {
    const { url, server } = await behindProxy(t, (request, response) => {
      request.resume()
      response.end('ok')
    })
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    for (const body of [callOf('echo'), undefined]) {
      const response = await ask(url, { body })
      assert.equal(response.statusCode, 502)
      assert.match(await textOf(response), /^chaos mcp-proxy: .*ECONNREFUSED/)
    }
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    assert.equal(await textOf(await ask(url)), 'ok')
  })

  for (const [name, body] of Object.entries({ 'a call': callOf('echo'), 'an event stream': undefined }))
    test(`in the middle of the answer to ${name} the client sees it break off, after all that had come`, async (t) => {
      const { url } = await behindProxy(t, (request, response) => {
        request.resume()
        response.writeHead(200, SSE).write('id: 1\ndata: {}\n\ndata: hal')
        setTimeout(() => response.destroy(), 100)
      })
      const response = await ask(url, { body })
      let text = ''
      await assert.rejects(async () => {
        for await (const chunk of response) text += String(chunk)
      }, /aborted/)
      assert.match(text, /^id: 1\ndata: \{\}\n\n/)
    })

  test('before the head of the answer is 502, and a JSON answer that breaks off is one too', async (t) => {
    let half = false
    const { url } = await behindProxy(t, (request, response) => {
      request.resume()
      if (half) response.writeHead(200, { ...JSON_TYPE, 'content-length': '100' }).write('{')
      setTimeout(() => response.destroy(), 50)
    })
    assert.equal((await ask(url, { body: callOf('echo') })).statusCode, 502)
    half = true
    assert.equal((await ask(url, { body: callOf('echo') })).statusCode, 502)
  })
})

describe('the death of the client', () => {
  /** Resolves when the server sees that its request has been given up. */
  function hanging(head: boolean) {
    let gone = 0
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      request.resume()
      response.on('close', () => gone++)
      if (head) response.writeHead(200, SSE).write(': open\n\n')
    }
    return { listener, gone: () => gone }
  }

  for (const [name, body] of Object.entries({ 'a call': callOf('echo'), 'an event stream': undefined }))
    for (const head of [true, false])
      test(`in ${name}, ${head ? 'after' : 'before'} the head of the answer, cancels the request to the server`, async (t) => {
        const { listener, gone } = hanging(head)
        const { url, proxy, server } = await behindProxy(t, listener)
        const { signal, abort } = abortable()
        const asked = ask(url, { body, signal })
        if (head) {
          const response = await asked
          response.on('error', () => undefined)
          response.destroy()
        } else {
          await until(async () => (await connections(server)) === 1, 'the server was never asked')
          abort()
          await assert.rejects(asked)
        }
        await until(() => gone() === 1, 'the request to the server goes on')
        await until(async () => (await connections(proxy)) === 0, 'the connection of the client is still there')
      })

  test('during an injected wait ends the wait: the server never hears of the call, and no timer is left', async (t) => {
    let asked = 0
    const { url, proxy } = await behindProxy(t, (request, response) => (asked++, request.resume(), response.end()), {
      faults: [SLOW],
    })
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    const { signal, abort } = abortable()
    const response = ask(url, { body: callOf('echo'), signal })
    await until(async () => (await connections(proxy)) === 1, 'not connected')
    await new Promise((resolve) => setTimeout(resolve, 50))
    abort()
    await assert.rejects(response)
    await until(() => timers() <= before, 'the timer of the wait is left')
    assert.equal(asked, 0)
  })

  test('in the middle of its request, or of a body that is too large, leaves nothing', async (t) => {
    const { url, proxy } = await behindProxy(t, (_request, response) => response.end(), { most: 2000 })
    for (const bytes of [100, 5000]) {
      const socket = createConnection(Number(new URL(url).port), '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(
        `POST /mcp HTTP/1.1\r\nhost: ${new URL(url).host}\r\ncontent-length: 100000\r\n\r\n${'x'.repeat(bytes)}`,
      )
      await until(async () => (await connections(proxy)) === 1, 'not connected')
      await new Promise((resolve) => setTimeout(resolve, 50))
      socket.destroy()
      await until(async () => (await connections(proxy)) === 0, 'the connection is left')
    }
  })
})

describe('cancelled calls', () => {
  const cancel = (id: number, session: string | undefined) => ({
    body: JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } }),
    headers: session === undefined ? {} : { 'mcp-session-id': session },
  })

  test('one that waits ends without an answer and never reaches the server; the same id of another session goes on waiting', async (t) => {
    const seen: string[] = []
    const { url } = await behindProxy(
      t,
      (request, response) => {
        void textOf(request).then((body) => {
          seen.push((JSON.parse(body) as { method: string }).method)
          response.writeHead(202).end()
        })
      },
      { faults: [SLOW] },
    )
    const { signal, abort } = abortable()
    const [mine, other, stateless] = ['a', 'b', undefined].map((session) =>
      ask(url, {
        body: callOf('echo'),
        headers: session === undefined ? {} : { 'mcp-session-id': session },
        ...(session === 'a' ? {} : { signal }),
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (const session of ['a', undefined]) assert.equal((await ask(url, cancel(1, session))).statusCode, 202)
    const ended = await mine!
    assert.equal(ended.headers['content-type'], 'text/event-stream')
    assert.equal(await textOf(ended), '')
    assert.deepEqual(seen, ['notifications/cancelled', 'notifications/cancelled'])
    const waiting = Promise.race([other!, stateless!]).then(
      () => 'answered',
      () => 'given up',
    )
    abort()
    assert.equal(await waiting, 'given up')
    await Promise.allSettled([other, stateless])
  })

  for (const type of ['application/json', 'text/event-stream'])
    test(`one that has reached the server gives its slot back, and what the server says all the same passes as it is (${type})`, async (t) => {
      const late = answerOf('late answer')
      const text = type === 'application/json' ? late : `data: ${late}\n\n`
      let finish = (): unknown => undefined
      const { url } = await behindProxy(
        t,
        (request, response) => {
          void textOf(request).then((body) => {
            const { id, params } = JSON.parse(body) as { id?: number; params: { name: string } }
            if (id === 1 && type === 'text/event-stream')
              response.writeHead(200, { 'content-type': type }).flushHeaders()
            if (id === 1) finish = () => response.end(text)
            else response.end(answerOf(params.name, id ?? 0))
          })
        },
        { faults: [{ fault_type: 'resource_exhaustion', mode: 'hold_slots', slots: 1 }, WRONG] },
      )
      const headers = { 'mcp-session-id': 's' }
      const first = ask(url, { body: callOf('slow', 1), headers })
      await until(() => String(finish) !== String(() => undefined), 'the call never came')
      const refused = await textOf(await ask(url, { body: callOf('slow', 2), headers }))
      assert.match(refused, /all 1 slots are taken/)
      await ask(url, cancel(1, 's'))
      assert.doesNotMatch(await textOf(await ask(url, { body: callOf('slow', 3), headers })), /slots are taken/)
      finish()
      assert.equal(await textOf(await first), text)
    })
})

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
