/** The HTTP endpoint over real connections: what it answers, to whom, and that nobody can hold it up. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError } from '../../src/core/errors.ts'
import { startHealth } from '../../src/observe/health.ts'
import type { Health, HealthOptions } from '../../src/observe/health.ts'
import { makeMetrics } from '../../src/observe/metrics/index.ts'
import { status } from '../fakes/status.ts'

const TOKEN = 'a-token-long-enough'

async function start(t: TestContext, more: Partial<HealthOptions> = {}): Promise<Health & { url: string }> {
  const health = await startHealth({
    host: '127.0.0.1',
    port: 0,
    status: () => status(),
    metrics: makeMetrics(),
    canWrite: () => Promise.resolve(),
    ...more,
  })
  t.after(() => health.close())
  return { ...health, url: `http://127.0.0.1:${health.port}` }
}

async function ask(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init)
  const text = await response.text()
  return { code: response.status, text, headers: response.headers, body: parse(text) as Record<string, unknown> }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** Sends bytes and collects what comes back until the other side closes. */
async function raw(port: number, bytes: string): Promise<{ text: string; ms: number }> {
  const begun = performance.now()
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
  let text = ''
  socket.setEncoding('utf8').on('data', (more: string) => (text += more))
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.on('close', resolve))
  return { text, ms: performance.now() - begun }
}

test('a daemon that is ready is alive and ready, and hands out its metrics and its status', async (t) => {
  const { url } = await start(t)
  assert.deepEqual((await ask(`${url}/healthz`)).body, { alive: true })
  const ready = await ask(`${url}/readyz`)
  assert.deepEqual([ready.code, ready.body], [200, { ready: true, reasons: [] }])
  const metrics = await ask(`${url}/metrics`)
  assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.match(metrics.text, /^chaos_ready 1$/m)
  assert.deepEqual((await ask(`${url}/status`)).body, status())
  assert.equal(metrics.headers.get('cache-control'), 'no-store')
})

test('it is alive but not ready while it starts, recovers, stops, or cannot write its journal, and says why', async (t) => {
  let now: ReturnType<typeof status> | undefined
  let disk = Promise.resolve()
  const { url } = await start(t, { status: () => now, canWrite: () => disk })
  const reasons = async () => {
    assert.equal((await ask(`${url}/healthz`)).code, 200)
    const { code, body } = await ask(`${url}/readyz`)
    assert.equal(code, 503)
    assert.equal(body['ready'], false)
    return (body['reasons'] as string[]).join('; ')
  }
  assert.match(await reasons(), /starting/)
  assert.equal((await ask(`${url}/status`)).code, 503)
  assert.equal((await ask(`${url}/metrics`)).code, 200)
  now = status({ ready: false })
  assert.match(await reasons(), /recovering/)
  now = status({ ready: false, stopping: 'stopped by SIGTERM' })
  assert.match(await reasons(), /stopping \(stopped by SIGTERM\)/)
  now = status()
  disk = Promise.reject(new Error('ENOSPC: no space left on device'))
  disk.catch(() => undefined)
  assert.match(await reasons(), /cannot be written: ENOSPC/)
  disk = new Promise(() => undefined)
  assert.match(await reasons(), /has not answered for 2 s/)
})

test('a run that is not undone, or a freeze, does not make it unready: it does its work', async (t) => {
  const blocked = [{ run: 'r', experiment: 'nightly', endpoint: 'e', pending: 3, reason: 'away' }]
  const frozen = { since: '2026-01-02T03:04:05.000Z', reason: 'release' }
  const { url } = await start(t, { status: () => status({ blocked, frozen }) })
  assert.equal((await ask(`${url}/readyz`)).code, 200)
})

test('with a token everything but /healthz needs it, the whole of it, and nothing else opens the door', async (t) => {
  const { url } = await start(t, { token: TOKEN })
  assert.equal((await ask(`${url}/healthz`)).code, 200)
  const paths = ['/readyz', '/metrics', '/status', '/', '/nothing', '/healthz/', '//healthz', '/healthz/../metrics']
  const wrong = [
    undefined,
    '',
    TOKEN,
    'Bearer',
    'Bearer ',
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(0, -1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer x ${TOKEN}`,
    `Basic ${TOKEN}`,
    `Bearer ${'x'.repeat(4_000)}`,
  ]
  for (const path of paths) {
    for (const authorization of wrong) {
      const { code, text, headers } = await ask(`${url}${path}`, {
        headers: authorization === undefined ? {} : { Authorization: authorization },
      })
      assert.equal(code, 401, `${path} with ${authorization}`)
      assert.equal(headers.get('www-authenticate'), 'Bearer')
      assert.doesNotMatch(text, /chaos_|nightly|a-token/)
    }
    for (const method of ['POST', 'OPTIONS', 'DELETE']) assert.equal((await ask(`${url}${path}`, { method })).code, 401)
  }
  for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
    assert.equal((await ask(`${url}/metrics`, { headers: { Authorization: `${scheme} ${TOKEN}` } })).code, 200)
  }
})

test('HEAD is answered like GET without the body; every other method gets 405, every other path 404', async (t) => {
  const { url } = await start(t)
  for (const path of ['/healthz', '/readyz', '/metrics', '/status']) {
    const head = await ask(`${url}${path}`, { method: 'HEAD' })
    assert.deepEqual([head.code, head.text], [200, ''])
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      const { code, headers } = await ask(`${url}${path}`, { method })
      assert.deepEqual([code, headers.get('allow')], [405, 'GET, HEAD'], `${method} ${path}`)
    }
  }
  for (const path of ['/', '/metrics/', '/METRICS', '/status/../../etc/passwd', '/%2e%2e/', '/healthz/x']) {
    assert.equal((await ask(`${url}${path}`)).code, 404, path)
  }
})

test('a bug shows neither its message nor its stack, and the next question is answered', async (t) => {
  let broken = true
  const { url } = await start(t, {
    status: () => {
      if (broken) throw new Error('secret-canary')
      return status()
    },
  })
  for (const path of ['/readyz', '/metrics', '/status']) {
    const { code, text } = await ask(`${url}${path}`)
    assert.equal(code, 500)
    assert.doesNotMatch(text, /canary|Error|at |\.ts/)
  }
  broken = false
  assert.equal((await ask(`${url}/metrics`)).code, 200)
})

test('what is no HTTP, or too much of it, is turned away without an answer of ours being harmed', async (t) => {
  const { url, port } = await start(t)
  for (const bytes of [
    'hello\r\n\r\n',
    'GET /metrics HTTP/9.9\r\n\r\n',
    'GET /metrics HTTP/1.1\r\n\r\n',
    `GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
    'GET http://[::bad/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'GET /metrics HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n',
    '\u0000'.repeat(100),
  ]) {
    const { text } = await raw(port, bytes)
    assert.match(text, /^HTTP\/1\.1 (4\d\d|505)/, bytes.slice(0, 40))
    assert.doesNotMatch(text, /\.ts|node_modules/)
  }
  assert.equal((await ask(`${url}/metrics`)).code, 200)
})

test('a body that nobody wants is not kept in memory', async (t) => {
  const { port } = await start(t)
  const before = process.memoryUsage().rss
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n')
  const chunk = Buffer.alloc(2 ** 20)
  for (let sent = 0; sent < 90 && !socket.destroyed; sent++) {
    if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), sleep(100)])
  }
  socket.destroy()
  assert.ok(process.memoryUsage().rss - before < 60e6, `${process.memoryUsage().rss - before} bytes more`)
})

test(
  'a client that sends its question letter by letter, or none at all, is cut off',
  { timeout: 120_000 },
  async (t) => {
    const { url, port } = await start(t)
    const slow = [raw(port, ''), raw(port, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n')]
    assert.equal((await ask(`${url}/metrics`)).code, 200)
    for (const { ms, text } of await Promise.all(slow)) {
      assert.ok(ms < 60_000, `${ms} ms`)
      assert.doesNotMatch(text, /chaos_/)
    }
  },
)

test(
  'more connections than it has places for do not last, and then it answers again',
  { timeout: 120_000 },
  async (t) => {
    const { url, port } = await start(t)
    const crowd = Array.from({ length: 200 }, () => raw(port, 'GET /'))
    await Promise.all(crowd)
    assert.equal((await ask(`${url}/healthz`)).code, 200)
  },
)

test('connections that are kept alive, idle or in the middle of an answer, hold up its end for at most a moment', async (t) => {
  const hang = new Promise<string>(() => undefined)
  const { url, port, close } = await start(t, { metrics: { contentType: 'text/plain', text: () => hang } })
  const idle = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')]
  for (const socket of idle) {
    socket.on('error', () => undefined)
    socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  }
  const waiting = raw(port, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const halfway = raw(port, 'GET /met')
  await ask(`${url}/healthz`)
  const begun = performance.now()
  await close()
  assert.ok(performance.now() - begun < 15_000, `${performance.now() - begun} ms`)
  await Promise.all([waiting, halfway])
  await assert.rejects(ask(`${url}/healthz`))
  await close()
})

test('an address that cannot be used is a mistake of the configuration, with what to write instead', async (t) => {
  const { port } = await start(t)
  const tries = async (host: string, to: number) => {
    const options = { status: () => status(), metrics: makeMetrics(), canWrite: () => Promise.resolve() }
    return startHealth({ host, port: to, ...options }).catch((error: unknown) => error)
  }
  for (const [host, to, says] of [
    ['127.0.0.1', port, /settings\.health_bind: cannot listen on 127\.0\.0\.1:\d+: another process listens there/],
    ['192.0.2.1', 0, /cannot listen on 192\.0\.2\.1:0: this machine does not have that address/],
  ] as const) {
    const error = await tries(host, to)
    assert.ok(error instanceof ConfigError)
    assert.equal(error.exitCode, 2)
    assert.match(error.message, says)
  }
})

test('without a token it answers no page that reaches it under a name of its own (DNS rebinding), but that it is alive', async (t) => {
  const { port } = await start(t)
  const code = async (host: string, path: string): Promise<string> =>
    (await raw(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).text.slice(9, 12)
  for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '127.0.0.1.nip.io', '10.0.0.7'])
    for (const path of ['/status', '/metrics', '/readyz', '/nothing'])
      assert.equal(await code(host, path), '403', `${host}${path}`)
  for (const host of ['localhost', `127.0.0.1:${port}`, '[::1]', `LocalHost:${port}`])
    assert.equal(await code(host, '/status'), '200', host)
  assert.equal(await code('evil.example', '/healthz'), '200')
})

test('with a token the name does not matter: who has it is not a page of somebody else', async (t) => {
  const { port } = await start(t, { token: TOKEN })
  const given = `Authorization: Bearer ${TOKEN}\r\n`
  for (const [header, code] of [
    [given, '200'],
    ['', '401'],
  ] as const) {
    const { text } = await raw(
      port,
      `GET /status HTTP/1.1\r\nHost: chaos.internal\r\n${header}Connection: close\r\n\r\n`,
    )
    assert.equal(text.slice(9, 12), code)
  }
})
