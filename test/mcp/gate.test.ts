/** F4, F12: a proxy over HTTP answers its own names and pages only, for its server's path, and holds no more than it has room for. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { answerOf, ask, behindProxy, callOf, connections, textOf, until } from './http.ts'

const SAY = { faults: [] }

describe('F4: who may use it', { timeout: 60_000 }, () => {
  test('a foreign Host or Origin is 403 and never reaches the server; its own names and pages pass', async (t) => {
    let asked = 0
    const { url } = await behindProxy(t, (_request, response) => (asked++, response.end('ok')), {
      ...SAY,
      gate: { hosts: ['proxy.test'], origins: ['http://localhost:3000'] },
    })
    const { port } = new URL(url)
    const status = async (headers: Record<string, string>): Promise<number> => {
      const answer = await ask(url, { headers })
      await textOf(answer)
      return answer.statusCode ?? 0
    }
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      `localhost.evil.example:${port}`,
      `127.0.0.1:${Number(port) + 1}`,
      '127.0.0.1',
      `127.0.0.1.:${port}`,
      `localhost:${port}@evil.example`,
    ])
      assert.equal(await status({ host }), 403, host)
    for (const origin of [
      'http://evil.example',
      'null',
      `https://127.0.0.1:${port}`,
      'http://localhost:3001',
      `http://127.0.0.1:${port}.evil.example`,
      'http://proxy.test.evil',
    ])
      assert.equal(await status({ origin }), 403, origin)
    assert.equal(asked, 0)
    for (const host of [`127.0.0.1:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, 'proxy.test', `proxy.test:${port}`])
      assert.equal(await status({ host }), 200, host)
    for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`, 'http://localhost:3000'])
      assert.equal(await status({ origin }), 200, origin)
  })

  test('only the path of its server is there, whatever the method; a whole URL as target is refused', async (t) => {
    const seen: string[] = []
    const { url } = await behindProxy(
      t,
      (one, response) => (seen.push(`${one.method} ${one.url}`), response.end()),
      SAY,
    )
    const raw = (line: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let text = ''
        const socket = connect(Number(new URL(url).port), '127.0.0.1')
        socket.on('data', (bytes: Buffer) => (text += bytes.toString())).on('error', reject)
        socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''))
        socket.write(`${line} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`)
      })
    for (const [line, status] of [
      ['DELETE /admin/everything', 404],
      ['GET /', 404],
      ['GET /mcp/../admin', 404],
      ['GET /mcp/', 404],
      ['GET //mcp', 404],
      ['GET /mcp%2f..', 404],
      ['PUT /mcp', 405],
      ['GET http://169.254.169.254/latest', 400],
      ['GET http://127.0.0.1/mcp', 400],
      ['OPTIONS *', 400],
    ] as const)
      assert.match(await raw(line), new RegExp(`^HTTP/1.1 ${status} `), line)
    assert.deepEqual(seen, [])
    assert.match(await raw('DELETE /mcp'), / 200 /)
    assert.match(await raw('GET /mcp?session=1'), / 200 /)
    assert.deepEqual(seen, ['DELETE /mcp', 'GET /mcp?session=1'])
  })

  test('with a token nobody passes without it, and it does not go on to the server; what the server wants does', async (t) => {
    const heads: NodeJS.Dict<string | string[]>[] = []
    const token = 'a-token-of-enough-characters'
    const { url } = await behindProxy(t, (one, response) => (heads.push(one.headers), response.end()), {
      ...SAY,
      gate: { token },
      headers: { Authorization: 'Basic c2VjcmV0' },
    })
    const status = async (headers: Record<string, string>): Promise<number> => {
      const answer = await ask(url, { headers })
      await textOf(answer)
      return answer.statusCode ?? 0
    }
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      { 'x-chaos-token': '' },
      { authorization: `Basic ${token}` },
    ])
      assert.equal(await status(headers as Record<string, string>), 401)
    assert.deepEqual(heads, [])
    for (const headers of [
      { authorization: `Bearer ${token}` },
      { 'x-chaos-token': token },
      { 'x-chaos-token': token, host: 'any.example' },
    ])
      assert.equal(await status(headers as Record<string, string>), 200)
    for (const head of heads) {
      assert.equal(head['authorization'], 'Basic c2VjcmV0')
      assert.equal(head['x-chaos-token'], undefined)
    }
  })
})

describe('F12: what is held', { timeout: 120_000 }, () => {
  test('twenty clients with bodies of 30 MiB: those beyond the room are told to come again, and the next one passes', async (t) => {
    const { url, proxy } = await behindProxy(
      t,
      (one, response) => one.resume().on('end', () => response.end(answerOf('ok'))),
      SAY,
    )
    const body = Buffer.alloc(30 * 2 ** 20, 'x')
    let most = 0
    const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers)), 20)
    const before = process.memoryUsage().arrayBuffers
    const send = (): Promise<number> =>
      new Promise((resolve) => {
        const sent = request(url, { agent: false, method: 'POST' })
        sent
          .on('response', (answer) => {
            answer.resume()
            resolve(answer.statusCode ?? 0)
          })
          .on('error', () => resolve(503))
        // Slower than all of it at once: everybody is half-way when there is no more room.
        let at = 0
        const next = (): void => {
          if (sent.destroyed || sent.closed) return
          if (at >= body.length) return void sent.end()
          sent.write(body.subarray(at, (at += 2 ** 20)), () => setTimeout(next, 5))
        }
        next()
      })
    const statuses = await Promise.all(Array.from({ length: 20 }, send))
    clearInterval(watching)
    t.diagnostic(`${statuses.join(' ')}; at most ${Math.round((most - before) / 2 ** 20)} MiB`)
    assert.ok(statuses.every((status) => status === 200 || status === 503))
    assert.ok(statuses.filter((status) => status === 503).length >= 10)
    assert.ok(most - before < 400 * 2 ** 20, `${most - before} bytes`)
    await until(async () => (await connections(proxy)) === 0, 'connections are left')
    assert.equal((await ask(url, { body: callOf('echo') })).statusCode, 200)
  })

  test('no more than 64 connections at once', async (t) => {
    const { url, proxy } = await behindProxy(t, (_request, response) => response.end(), SAY)
    assert.equal(proxy.maxConnections, 64)
    const sockets = Array.from({ length: 100 }, () =>
      connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined),
    )
    await until(() => sockets.filter((socket) => socket.closed).length >= 36, 'all of them are let in')
    for (const socket of sockets) socket.destroy()
  })
})
