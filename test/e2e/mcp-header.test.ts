/** F8: `chaos mcp-proxy --http … --header`, as a whole command: what its server gets, and where the secret is not seen. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { listening } from '../mcp/http.ts'
import { MAIN, RawClient } from './mcp.ts'

const SECRET = 'c4n4ry-of-the-upstream'
const LIMIT = { timeout: 120_000 }

describe('F8: mcp-proxy --header', LIMIT, () => {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-header-'))
  const got: IncomingHttpHeaders[] = []
  const upstream = createServer((request, response) => {
    got.push(request.headers)
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: [] } }))
    })
  })
  let url = ''
  before(async () => {
    url = `http://127.0.0.1:${await listening(upstream)}/mcp`
    writeFileSync(join(folder, 'token'), `${SECRET}\n`, { mode: 0o600 })
  })
  after(() => {
    upstream.close()
    upstream.closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  })

  /** With its input closed, so that nothing waits for more. */
  function start(header: string, env: Record<string, string> = {}, http = url): RawClient {
    const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const log = join(folder, 'fired')
    const options = ['mcp-proxy', '--http', http, '--header', header, '--fault', 'latency,duration_ms=1', '--log', log]
    const proxy = new RawClient(['env', ...assignments, process.execPath, MAIN, ...options])
    proxy.child.stdin.end()
    return proxy
  }

  async function within<T>(work: Promise<T>, proxy: RawClient): Promise<T> {
    const timer = new AbortController()
    const late = sleep(60_000, undefined, { signal: timer.signal }).then(() => {
      proxy.child.kill('SIGKILL')
      throw new Error(`no end in a minute: ${proxy.err}`)
    })
    late.catch(() => undefined)
    try {
      return await Promise.race([work, late])
    } finally {
      timer.abort()
    }
  }

  async function ask(proxy: RawClient): Promise<{ status: number; text: string }> {
    await within(proxy.until('listening on '), proxy)
    const at = /listening on (\S+)/.exec(proxy.err)?.[1] ?? ''
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x', arguments: {} } })
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
    const answer = await within(fetch(at, { method: 'POST', headers, body }), proxy)
    return { status: answer.status, text: await answer.text() }
  }

  async function ended(proxy: RawClient): Promise<void> {
    proxy.child.kill('SIGTERM')
    assert.equal(await within(proxy.exit, proxy), 0)
  }

  for (const [from, value, env] of [
    ['the environment', '${UPSTREAM_TOKEN}', { UPSTREAM_TOKEN: SECRET }],
    ['a file', '${file:TOKEN_FILE}', {}],
  ] as const) {
    test(
      `a secret from ${from} reaches the server, and stands in no output, log or list of processes`,
      LIMIT,
      async () => {
        const written = value.replace('TOKEN_FILE', join(folder, 'token'))
        const proxy = start(`Authorization: Bearer ${written}`, env)
        const { status, text } = await ask(proxy)
        assert.equal(status, 200, text)
        assert.equal(got.at(-1)?.authorization, `Bearer ${SECRET}`)
        const command = readFileSync(`/proc/${proxy.child.pid}/cmdline`, 'utf8')
        assert.ok(command.includes(written), 'the expression is what the list of processes shows')
        await ended(proxy)
        const seen = [proxy.err, text, command, readFileSync(join(folder, 'fired'), 'utf8')].join('\n')
        assert.ok(!seen.includes(SECRET), seen)
        assert.doesNotMatch(proxy.err, /warning/)
      },
    )
  }

  test('where the server is away, what the client is told has no secret in it', LIMIT, async () => {
    const proxy = start('X-Api-Key: ${UPSTREAM_TOKEN}', { UPSTREAM_TOKEN: SECRET }, 'http://127.0.0.1:9/mcp')
    const { status, text } = await ask(proxy)
    assert.equal(status, 502)
    await ended(proxy)
    assert.ok(!`${text}${proxy.err}`.includes(SECRET))
  })

  test('a secret that is typed is sent, with a warning of who sees it that does not repeat it', LIMIT, async () => {
    const proxy = start(`Authorization: Bearer ${SECRET}`)
    await ask(proxy)
    assert.equal(got.at(-1)?.authorization, `Bearer ${SECRET}`)
    await ended(proxy)
    assert.match(proxy.err, /warning: the list of processes shows Authorization to everybody.*\$\{VARIABLE\}/)
    assert.ok(!proxy.err.includes(SECRET))
  })

  for (const [what, header, env, why] of [
    [
      'a line break in a secret',
      'X-Api-Key: ${T}',
      { T: `${SECRET}\r\nX-Injected: 1` },
      /X-Api-Key has characters that no header has/,
    ],
    [
      'a line break that is typed',
      `X-A: ${SECRET}\r\nX-Injected: 1`,
      {},
      /needs NAME: VALUE|has characters that no header has/,
    ],
    [
      'a control character',
      'X-A: ${T}',
      { T: `${SECRET}\u0000`.replace('\u0000', '\u001b[2J') },
      /X-A has characters that no header has/,
    ],
    ['a name with a line break', `X-A\r\nX-B: ${SECRET}`, {}, /needs NAME: VALUE/],
    ['no name', SECRET, {}, /needs NAME: VALUE/],
    ['a variable that is not set', 'X-A: ${NOT_SET_ANYWHERE}', {}, /X-A: .*NOT_SET_ANYWHERE is not set/],
    ['an empty variable', 'X-A: ${T}', { T: '' }, /X-A: \$\{T\} is empty/],
    ['a file that is not there', 'X-A: ${file:/no/such/file}', {}, /X-A: .*there is no file/],
  ] as [string, string, Record<string, string>, RegExp][]) {
    test(`${what} is refused before anything is sent, and not repeated`, LIMIT, async () => {
      const before = got.length
      const proxy = start(header, env)
      proxy.child.stdout.resume()
      assert.equal(await within(proxy.exit, proxy), 2, proxy.err)
      assert.match(proxy.err, why)
      assert.ok(!proxy.err.includes(SECRET), proxy.err)
      assert.equal(got.length, before)
    })
  }
})
