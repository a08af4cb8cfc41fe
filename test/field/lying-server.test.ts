/** F3, F6, F12: a server that asks for the password in clear text, says endless things, or sends rows without end. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, describe, test } from 'node:test'
import { messageOf } from '../../src/core/errors.ts'
import { database } from '../../src/targets/database/index.ts'
import { placeOf } from '../../src/targets/database/config.ts'
import { PostgresClient } from '../../src/targets/database/postgres/client.ts'

const PASSWORD = 'SuperSecret99'

/** An address of this machine that is not loopback; there is none in a network namespace without one. */
const ELSEWHERE = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function int32(...numbers: number[]): Buffer {
  const buffer = Buffer.alloc(4 * numbers.length)
  numbers.forEach((n, i) => buffer.writeInt32BE(n, 4 * i))
  return buffer
}

const AUTH = {
  cleartext: message('R', int32(3)),
  md5: message('R', Buffer.concat([int32(5), Buffer.from('salt')])),
  scram: message('R', Buffer.concat([int32(10), Buffer.from('SCRAM-SHA-256\0\0')])),
  none: message('R', int32(0)),
}
const READY = Buffer.concat([message('R', int32(0)), message('Z', Buffer.from('I'))])

describe('a server that lies', { timeout: 120_000 }, () => {
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  after(() => {
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
  })

  /** Answers the start-up with `first`, and everything after with `then`; `got` is what it was told after the start-up. */
  const lying = async (
    first: Buffer,
    then: (socket: Socket, data: Buffer) => void = () => undefined,
  ): Promise<{ port: number; got: () => string }> => {
    const got: Buffer[] = []
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      let started = false
      socket.on('data', (data) => {
        if (!started && data.readInt32BE(4) === 80877103) {
          socket.write('N')
          return
        }
        if (started) got.push(data)
        if (started) then(socket, data)
        else socket.write(first)
        started = true
      })
    })
    servers.push(server)
    server.listen(0, '0.0.0.0')
    await once(server, 'listening')
    const address = server.address()
    return {
      port: typeof address === 'object' ? (address?.port ?? 0) : 0,
      got: () => Buffer.concat(got).toString('latin1'),
    }
  }
  const connect = async (config: Record<string, unknown>): Promise<string> => {
    const parsed = database.config.parse({ user: 'chaos', password: PASSWORD, database: 'shop', ...config })
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(new Error('too late')), 60_000)
    try {
      const client = await PostgresClient.connect({
        connectionUrl: placeOf(parsed as Parameters<typeof placeOf>[0]),
        mark: 'chaos-t-t-0',
        signal: abort.signal,
      })
      await client.close()
      return 'connected'
    } catch (error) {
      return messageOf(error)
    } finally {
      clearTimeout(timer)
    }
  }

  for (const [method, words] of [
    ['cleartext', /asks for the password in clear text without TLS/],
    ['md5', /asks for an md5 hash of the password without TLS/],
  ] as const) {
    test(`F3: ${method} over a network without TLS gets no password, but where allow_cleartext says so, and on loopback`, async () => {
      assert.ok(ELSEWHERE !== undefined, 'this machine has an address besides loopback')
      const { port, got } = await lying(AUTH[method])
      const answered = method === 'cleartext' ? /SuperSecret99/ : /md5[0-9a-f]{32}/
      assert.match(await connect({ host: ELSEWHERE, port }), words)
      // Another attempt, with TLS, that the server does not offer.
      assert.doesNotMatch(got(), answered)
      void connect({ host: ELSEWHERE, port, allow_cleartext: true })
      void connect({ host: '127.0.0.1', port })
      for (let i = 0; i < 100 && (got().match(new RegExp(answered, 'g')) ?? []).length < 2; i++)
        await new Promise((resolve) => setTimeout(resolve, 100))
      assert.equal((got().match(new RegExp(answered, 'g')) ?? []).length, 2)
    })
  }

  test('F3: require_auth refuses every method that it does not name, and a server that asks for nothing', async () => {
    for (const [method, words] of [
      ['cleartext', /asks for the password in clear text, which require_auth/],
      ['md5', /asks for an md5 hash of the password, which require_auth/],
      ['none', /lets us in without asking who we are, which require_auth/],
    ] as const) {
      const { port, got } = await lying(AUTH[method])
      assert.match(await connect({ host: '127.0.0.1', port, require_auth: 'scram-sha-256' }), words)
      assert.match(
        await connect({ connection_url: `postgres://127.0.0.1:${port}/?require_auth=!password,!md5,!none` }),
        words,
      )
      assert.doesNotMatch(got(), /SuperSecret99|md5[0-9a-f]{32}/)
    }
    const bad = database.config.safeParse({ host: 'h', database: 'd', require_auth: 'scram' })
    assert.match(bad.error?.issues[0]?.message ?? '', /write one or more of password, md5, scram-sha-256, none/)
  })

  test('F3: a server that asks for SCRAM and lets us in without finishing it has not shown that it knows the password', async () => {
    const { port } = await lying(AUTH.scram, (socket) => socket.write(READY))
    assert.match(await connect({ host: '127.0.0.1', port }), /without having shown that it knows the password/)
  })

  test('F3: validate warns of a remote host whose certificate nobody checks', () => {
    const warn = (config: Record<string, unknown>): number =>
      database.warnings?.(database.config.parse({ database: 'd', ...config })).length ?? 0
    assert.equal(warn({ host: 'db.example' }), 1)
    assert.equal(warn({ host: 'db.example', sslmode: 'require' }), 1)
    assert.equal(warn({ host: 'db.example', sslmode: 'verify-full' }), 0)
    for (const host of ['localhost', '127.0.0.1', '::1', '/run/postgresql']) assert.equal(warn({ host }), 0, host)
  })

  test('F12: rows without end, and one message that never ends, end the connection and eat no memory', async () => {
    const row = message('D', Buffer.concat([Buffer.from([0, 1]), int32(1000), Buffer.alloc(1000, 'x')]))
    const many = Buffer.concat(Array.from({ length: 1000 }, () => row))
    const field = Buffer.concat([Buffer.from('path\0'), int32(0), Buffer.from([0, 0]), int32(25), Buffer.from([255, 255]), int32(-1), Buffer.from([0, 0])]) // prettier-ignore
    const forever = (chunk: Buffer, before: Buffer) => (socket: Socket) => {
      socket.write(before)
      const more = (): void => {
        while (socket.writable && socket.write(chunk));
        if (socket.writable) socket.once('drain', more)
      }
      more()
    }
    const rows = message('T', Buffer.concat([Buffer.from([0, 1]), field]))
    for (const [chunk, before] of [
      [many, rows],
      [Buffer.alloc(1_000_000), Buffer.concat([rows, Buffer.from('D'), int32(0x7fffffff)])],
    ] as const) {
      const { port } = await lying(READY, forever(chunk, before))
      const start = process.memoryUsage().rss
      assert.match(await connect({ host: '127.0.0.1', port }), /the answer of the server is too large/)
      assert.ok(process.memoryUsage().rss - start < 1_500_000_000)
    }
  })

  test('F6: an error text of 400 kB is cut to 10 kB where it enters', async () => {
    const text = `SFATAL\0C28000\0M${'.'.repeat(400_000)}x\0\0`
    const { port } = await lying(message('E', Buffer.from(text)))
    const said = await connect({ host: '127.0.0.1', port })
    assert.match(said, /\.\.\./)
    assert.ok(said.length < 11_000, String(said.length))
  })
})
