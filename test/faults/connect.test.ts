/** What an application offers when it listens: who may ask, what is granted, and when its faults end. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Hello, Leases } from '../../src/faults/connect/protocol.ts'
import { wrapFetch, wrapMcpClient, wrapMcpTool } from '../../src/faults/adapters/index.ts'
import { Chaos, connectChaos, FaultConfigError, wrap } from '../../src/faults/index.ts'
import type { ChaosConnection } from '../../src/faults/index.ts'
import { errorOf } from './helpers.ts'

const TOKEN = 'sixteen-characters-canary'
let dir: string
let chaos: Chaos
let search: (query: string) => Promise<string>
const open: ChaosConnection[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'connect-'))
  chaos = new Chaos()
  search = wrap((query: string) => Promise.resolve(`found ${query}`), { component: 'search', chaos, async: true })
})
afterEach(async () => {
  for (const connection of open.splice(0)) await connection.close()
  rmSync(dir, { recursive: true, force: true })
})

const onSocket = async (name = 'chaos.sock') =>
  keep(await connectChaos({ app: 'shop', socket: join(dir, name), chaos }))
const onHttp = async () => keep(await connectChaos({ app: 'shop', http: { port: 0, token: TOKEN }, chaos }))
function keep(connection: ChaosConnection): ChaosConnection {
  open.push(connection)
  return connection
}

interface Answer {
  status: number
  body: { error?: string; message?: string; ended?: string[] }
}

/** One request, to a path or a URL. */
function ask(address: string, method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const where = address.startsWith('http') ? {} : { socketPath: address }
  const url = address.startsWith('http') ? address + path : `http://localhost${path}`
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...where, method, agent: false, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }))
    })
    sent.on('error', reject)
    sent.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  })
}

const MARK = 'chaos-inst-run1-1'
const grant = (more: object = {}) => ({
  mark: MARK,
  faults: [{ fault_type: 'error', error_code: 503 }],
  components: ['search'],
  lease_ms: 60_000,
  ...more,
})
const fails = async () => (await search('x').catch((error: unknown) => error)) instanceof Error
const leases = async (at: string) => ((await ask(at, 'GET', '/v1/leases')).body as unknown as Leases).leases

test('hello says who answers, and how often each wrapped component was called', async () => {
  const { address, instance } = await onSocket()
  await search('a')
  await search('b')
  const hello = (await ask(address, 'GET', '/v1/hello')).body as unknown as Hello
  assert.deepEqual(
    { ...hello, started_at: '', process: null },
    {
      ...{ protocol: 1, app: 'shop', instance, pid: process.pid, started_at: '', process: null },
      components: [{ name: 'search', calls: 2 }],
      owners: true,
    },
  )
  assert.ok(Math.abs(Date.parse(hello.started_at) - performance.timeOrigin) < 2)
})

test('a lease breaks calls where nobody has enabled anything, counts them, and its end is final', async () => {
  const { address } = await onSocket()
  assert.equal(await fails(), false)
  assert.equal((await ask(address, 'POST', '/v1/leases', grant())).status, 200)
  assert.equal(await fails(), true)
  assert.equal(await fails(), true)
  const [lease] = await leases(address)
  assert.deepEqual([lease?.mark, lease?.in_force, lease?.fired], [MARK, true, 2])
  assert.deepEqual((await ask(address, 'POST', '/v1/end', { mark: MARK })).body, { ended: [MARK] })
  assert.equal(await fails(), false)
  const late = await ask(address, 'POST', '/v1/leases', grant())
  assert.deepEqual([late.status, late.body.error], [409, 'ended'])
  assert.deepEqual(
    (await leases(address)).map((l) => [l.in_force, l.fired]),
    [[false, 2]],
  )
  assert.equal((await ask(address, 'POST', '/v1/renew', { mark: MARK })).body.error, 'unknown')
})

test('the end of a run ends all its marks, refuses those that come later, and leaves other runs alone', async () => {
  const { address } = await onSocket()
  await ask(address, 'POST', '/v1/leases', grant())
  await ask(address, 'POST', '/v1/leases', grant({ mark: 'chaos-inst-run1-2', components: ['search'] }))
  const other = await ask(address, 'POST', '/v1/leases', grant({ mark: 'chaos-inst-run2-1', components: ['else'] }))
  assert.equal(other.status, 200)
  const held = await ask(address, 'POST', '/v1/leases', grant({ mark: 'chaos-inst-run2-2' }))
  assert.deepEqual([held.status, held.body.error], [409, 'held'])
  assert.match(held.body.message ?? '', /chaos-inst-run1-1/)
  const { body } = await ask(address, 'POST', '/v1/end', { prefix: 'chaos-inst-run1-' })
  assert.deepEqual(body.ended, [MARK, 'chaos-inst-run1-2'])
  assert.equal((await ask(address, 'POST', '/v1/leases', grant({ mark: 'chaos-inst-run1-3' }))).body.error, 'ended')
  assert.equal((await ask(address, 'POST', '/v1/renew', { mark: 'chaos-inst-run2-1' })).status, 200)
  assert.equal((await ask(address, 'POST', '/v1/end', { prefix: 'chaos-inst-run2' })).status, 400)
})

test('a lease that is not renewed ends by itself, and a renewal gives it its full time again', async () => {
  const { address } = await onSocket()
  await ask(address, 'POST', '/v1/leases', grant({ lease_ms: 400 }))
  for (let i = 0; i < 4; i++) {
    await sleep(200)
    assert.equal((await ask(address, 'POST', '/v1/renew', { mark: MARK })).status, 200)
    assert.equal(await fails(), true)
  }
  const end = performance.now() + 4_000
  while (await fails()) {
    assert.ok(performance.now() < end, 'it is still there')
    await sleep(20)
  }
})

test('the socket is its owner’s alone, goes with the connection, and only a dead one is replaced', async () => {
  const path = join(dir, 'chaos.sock')
  writeFileSync(path, 'precious')
  assert.match((await errorOf(() => onSocket())).message, /no socket/)
  assert.equal(readFileSync(path, 'utf8'), 'precious')
  rmSync(path)
  const dies = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', dies])
  assert.equal(existsSync(path), true)
  const first = await onSocket()
  assert.equal(statSync(first.address).mode & 0o777, 0o600)
  assert.match((await errorOf(() => onSocket())).message, /another process does/)
  await ask(first.address, 'POST', '/v1/leases', grant())
  assert.equal(await fails(), true)
  await first.close()
  assert.equal(await fails(), false, 'nobody could end it any more')
  assert.equal(existsSync(first.address), false)
  assert.equal((await onSocket()).instance, first.instance)
})

test('over HTTP nothing is answered without the right token, and a listener without one is refused', async () => {
  const { address } = await onHttp()
  assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/)
  for (const token of [undefined, '', 'wrong', `${TOKEN}x`]) {
    for (const [method, path] of [
      ['GET', '/v1/hello'],
      ['POST', '/v1/leases'],
      ['GET', '/'],
    ] as const) {
      const { status, body } = await ask(address, method, path, method === 'POST' ? grant() : undefined, token)
      assert.deepEqual([status, body.error], [401, 'token'])
    }
  }
  assert.equal((await ask(address, 'POST', '/v1/leases', grant(), TOKEN)).status, 200)
  assert.equal(await fails(), true)
  for (const http of [
    { port: 0, host: '0.0.0.0' },
    { port: 0, token: 'short' },
  ] as never[])
    assert.ok((await errorOf(() => connectChaos({ app: 'shop', http, chaos }))) instanceof FaultConfigError)
  const both = { app: 'shop', socket: 'x', http: { port: 0, token: TOKEN } }
  for (const options of [{ app: 'shop' }, both, { app: '', socket: 'x' }, { app: 'shop', socket: '' }])
    assert.ok((await errorOf(() => connectChaos({ ...options, chaos }))) instanceof FaultConfigError)
})

test('what is no request of this protocol is refused with what is wrong, and changes nothing', async () => {
  const { address } = await onSocket()
  const wrong = [
    {}, { mark: 'mine' }, { mark: 'chaos-UPPER-1' }, { mark: `chaos-${'x'.repeat(60)}` }, { faults: [] }, { faults: {} },
    { faults: [{ fault_type: 'slow' }] }, { faults: [{ fault_type: 'latency' }] }, { components: [] }, { components: 'search' },
    { lease_ms: 0 }, { lease_ms: 1e12 }, { lease_ms: '10s' }, { seed: {} },
  ] // prettier-ignore
  for (const more of wrong.slice(1)) {
    const { status, body } = await ask(address, 'POST', '/v1/leases', grant(more))
    assert.deepEqual([status, body.error], [400, 'bad_request'], JSON.stringify(more))
  }
  for (const text of ['', 'null', '[', `{"mark": "${'x'.repeat(300_000)}"}`])
    assert.equal((await ask(address, 'POST', '/v1/leases', text)).status, 400)
  for (const path of ['/v2/hello', '/']) assert.equal((await ask(address, 'GET', path)).status, 404)
  assert.deepEqual(await leases(address), [])
  assert.equal(await fails(), false)
})

test('disable() ends leases and refuses new ones, with the reason', async () => {
  const { address } = await onSocket()
  await ask(address, 'POST', '/v1/leases', grant())
  chaos.disable()
  assert.equal(await fails(), false)
  const { status, body } = await ask(address, 'POST', '/v1/leases', grant({ mark: 'chaos-inst-run1-2' }))
  assert.deepEqual([status, body.error], [409, 'disabled'])
})

test('listening keeps no process alive, and its socket goes with it', () => {
  const path = join(dir, 'idle.sock')
  const library = new URL('../../src/faults/index.ts', import.meta.url).href
  const script = `const { connectChaos } = await import(${JSON.stringify(library)}); await connectChaos({ app: 'idle', socket: ${JSON.stringify(path)} }); console.log('listens')`
  const child = spawnSync(process.execPath, ['--import', './scripts/ts.mjs', '--input-type=module', '-e', script], {
    timeout: 60_000,
    encoding: 'utf8',
  })
  assert.deepEqual([child.status, child.stdout], [0, 'listens\n'], child.stderr)
  assert.equal(existsSync(path), false)
})

test('A13: an application says whether there may be more components than it knows, as of a fetch or an MCP client', async () => {
  const { address } = await onSocket()
  const isOpenEnded = async () => ((await ask(address, 'GET', '/v1/hello')).body as unknown as Hello).open_ended
  wrapFetch(fetch, { chaos, component: 'model' })
  wrapMcpTool('tool', () => 1, { chaos })
  assert.equal(await isOpenEnded(), undefined)
  wrapFetch(fetch, { chaos, component: ({ pathname }) => pathname })
  assert.equal(await isOpenEnded(), true)
  const other = new Chaos()
  wrapMcpClient({ callTool: () => Promise.resolve({}) }, { chaos: other })
  assert.equal(other.openEnded, true)
})

test('over HTTP it answers for no other Host, and no page of another origin, whatever token they have', async () => {
  const { address } = await onHttp()
  const { port } = new URL(address)
  const code = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request(`${address}/v1/hello`, {
        agent: false,
        headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      })
      sent.on('response', (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      sent.on('error', reject)
      sent.end()
    })
  for (const host of ['evil.example', `evil.example:${port}`, `localhost.evil.example:${port}`, 'localhost:1'])
    assert.equal(await code({ host }), 403, host)
  for (const origin of [
    'http://evil.example',
    'null',
    `http://localhost:${Number(port) + 1}`,
    `https://localhost:${port}`,
  ])
    assert.equal(await code({ origin }), 403, origin)
  for (const host of [`localhost:${port}`, `127.0.0.1:${port}`]) assert.equal(await code({ host }), 200, host)
})
