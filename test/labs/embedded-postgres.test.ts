import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { debianPostgresMissing, startDebianPostgres } from './debian-postgres.ts'
import { startPostgres } from './embedded-postgres.ts'

for (const [name, start, skip] of [
  ['from npm', startPostgres, false],
  ['from Debian', startDebianPostgres, debianPostgresMissing() ?? false],
] as const) {
  describe(`a private PostgreSQL ${name}`, { skip }, () => {
    test('answers on 127.0.0.1, localhost and (where there is IPv6) ::1, in UTF-8 and UTC', async () => {
      const server = await start()
      try {
        for (const host of ['127.0.0.1', 'localhost', ...(hasIPv6() ? ['::1'] : [])]) {
          const client = new pg.Client({ connectionString: server.url('postgres', 'postgres', host) })
          await client.connect()
          const { rows } = await client.query<Record<string, string>>(
            "select current_setting('server_encoding') encoding, current_setting('timezone') zone, upper('é') upper",
          )
          assert.deepEqual(rows[0], { encoding: 'UTF8', zone: 'UTC', upper: 'É' })
          await client.end()
        }
      } finally {
        await server.stop()
      }
    })

    test('keeps what was committed when it is killed in the middle of a statement, and starts again', async () => {
      const server = await start({ settings: { max_connections: '17' } })
      try {
        await server.sql('create table t as select generate_series(1, 5) n')
        const busy = server.sql('select count(*) from generate_series(1, 1000000000)').catch((e: unknown) => e)
        await sleep(100)
        const pid = server.pid
        server.kill9()
        assert.ok((await busy) instanceof Error)
        await server.restart()
        assert.notEqual(server.pid, pid)
        assert.deepEqual(await server.sql("select count(*)::int, current_setting('max_connections') m from t"), [
          { count: 5, m: '17' },
        ])
      } finally {
        await server.stop()
      }
    })

    test('lets ALTER SYSTEM change what it was started with', async () => {
      const server = await start({ settings: { work_mem: '5MB' } })
      try {
        await server.sql("alter system set work_mem = '7MB'")
        await server.restart('immediate')
        assert.deepEqual(await server.sql('show work_mem'), [{ work_mem: '7MB' }])
      } finally {
        await server.stop()
      }
    })
  })
}

describe('a stopped server', () => {
  test('leaves no folder, whether it was running or had been killed, and may be stopped twice', async () => {
    for (const kill of [false, true]) {
      const server = await startPostgres()
      if (kill) server.kill9()
      await server.stop()
      await server.stop()
      assert.equal(existsSync(server.dir), false)
    }
  })

  test('leaves its data when asked to keep it, and data that was there before it', async (t) => {
    const dir = await folder(t)
    const first = await startPostgres({ dir: join(dir, 'server'), keep: true })
    await first.sql('create table t (n int)')
    await first.stop()
    const second = await startPostgres({ dir: first.dir })
    assert.deepEqual(await second.sql('select * from t'), [])
    await second.stop()
    assert.ok(existsSync(join(first.dataDir, 'PG_VERSION')))
  })

  test('removes from a folder that was there only what it put there', async (t) => {
    const dir = await folder(t)
    const server = await startPostgres({ dir })
    assert.deepEqual((await readdir(dir)).sort(), ['data', 'log'])
    await server.stop()
    assert.deepEqual(await readdir(dir), [])
  })
})

test('a server that is given a taken port does not start, and leaves no folder', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  t.after(() => other.close())
  await once(other, 'listening')
  const dir = join(await folder(t), 'server')
  await assert.rejects(startPostgres({ dir, port: (other.address() as AddressInfo).port }), /Address already in use/)
  assert.equal(existsSync(dir), false)
})

test('a setting that PostgreSQL refuses is an error that quotes its log', async () => {
  await assert.rejects(startPostgres({ settings: { no_such_setting: '1' } }), /unrecognized configuration parameter/)
})

test('servers started at the same time by several processes all start, each on its own port', async (t) => {
  const cache = await folder(t)
  const owners = [1, 2, 3].map(() => startOwner({ XDG_CACHE_HOME: cache }))
  t.after(() => owners.forEach(({ child }) => child.kill('SIGKILL')))
  const servers = await Promise.all(owners.map(({ server }) => server))
  assert.equal(new Set(servers.map(({ port }) => port)).size, 3)
  const made = await readdir(join(cache, 'chaos-agents'))
  assert.equal(made.filter((name) => name.includes('.tmp-')).length, 0)
  for (const { child } of owners) child.kill('SIGKILL')
  for (const { port, dir } of servers) await assertGone(port, dir)
})

for (const end of ['SIGKILL', 'SIGTERM', 'exit', 'forgetting'] as const) {
  test(`a process that ends by ${end} leaves no server and no folder`, async (t) => {
    const { child, server } = startOwner({ AT_THE_END: end })
    t.after(() => child.kill('SIGKILL'))
    const { port, dir } = await server
    assert.ok(await answers(port))
    assert.ok((await stat(join(dir, 'data'))).isDirectory())
    if (end.startsWith('SIG')) child.kill(end as NodeJS.Signals)
    else child.stdin.end()
    await assertGone(port, dir)
  })
}

function hasIPv6(): boolean {
  return Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))
}

/** A folder that also the server's user may enter, removed after the test. */
async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postgres-test-'))
  await chmod(path, 0o711)
  t.after(() => rm(path, { recursive: true }))
  return path
}

/** A process that has a server, and tells where. */
function startOwner(env: Record<string, string>) {
  const script = `
    import { startPostgres } from ${JSON.stringify(new URL('embedded-postgres.ts', import.meta.url).href)}
    const { port, dir } = await startPostgres()
    console.log(JSON.stringify({ port, dir }))
    process.stdin.on('end', () => process.env.AT_THE_END === 'exit' && process.exit(0)).resume()
  `
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const server = once(createInterface(child.stdout), 'line').then(
    ([line]) => JSON.parse(line as string) as { port: number; dir: string },
  )
  return { child, server }
}

async function assertGone(port: number, dir: string): Promise<void> {
  const deadline = Date.now() + 20_000
  while ((existsSync(dir) || (await answers(port))) && Date.now() < deadline) await sleep(20)
  assert.deepEqual({ folder: existsSync(dir), answers: await answers(port) }, { folder: false, answers: false })
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
