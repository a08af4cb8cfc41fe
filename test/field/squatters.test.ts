/** F14, F15: who takes what we would take (an advisory lock, an application's port) gets no more by it than is said. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import { messageOf } from '../../src/core/errors.ts'
import { connectPostgres } from '../../src/targets/database/postgres/agent.ts'
import { updateLoad } from '../labs/postgres-skills.ts'
import { application } from '../../src/targets/application/index.ts'
import { openRig } from '../contract/skill.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'

test('F14: who squats the lock of a claim is named with role and address, no row is touched, and the run works once he is gone', async (t) => {
  const server = await startPostgres()
  t.after(() => server.stop())
  await server.sql(`create role mallory login; create table accounts (id int primary key, name text);
    insert into accounts select i, 'name ' || i from generate_series(1, 20) i`)
  const config = { connection_url: server.url(), db_type: 'postgres', schemas: ['public'] } as const
  const open = () =>
    openRig({
      skill: updateLoad,
      params: { tables: ['accounts'], rows: 5 },
      connect: (options) => connectPostgres({ ...config, schemas: ['public'] }, [updateLoad], options),
    })
  const first = await open()
  const mallory = new pg.Client({ connectionString: server.url('postgres', 'mallory'), application_name: 'psql' })
  mallory.on('error', () => undefined)
  await mallory.connect()
  const { scopes } = await first.agent.identity(first.signal)
  const key = `${scopes.resource}/public.accounts`
  try {
    // What she needs stands in pg_locks, for everybody to see.
    await first.agent.claim([{ scope: 'resource', key }], first.signal)
    const { rows } = await mallory.query<{ classid: string; objid: string }>(
      `select classid::text, objid::text from pg_locks where locktype = 'advisory' and objsubid = 1 and granted`,
    )
    assert.equal(rows.length, 1)
    const [found] = rows
    await first.close()
    await mallory.query('select pg_advisory_lock(($1::bigint << 32) | $2::bigint)', [found?.classid, found?.objid])
  } finally {
    await first.close().catch(() => undefined)
  }
  const second = await open()
  try {
    await assert.rejects(second.agent.claim([{ scope: 'resource', key }], second.signal), (error: Error) => {
      assert.equal((error as { code?: string }).code, 'REFUSED_CLAIMED')
      assert.match(
        error.message,
        /is in use by psql \(role mallory, (local|address 127\.0\.0\.1), pid \d+\); wait until it is done, or look who that is/,
      )
      return true
    })
    assert.equal((await mallory.query('select 1')).rowCount, 1)
    await mallory.query('select pg_advisory_unlock_all()')
    await second.agent.claim([{ scope: 'resource', key }], second.signal)
    await second.applyAll()
    await second.undoAll()
  } finally {
    await mallory.end()
    await second.close()
  }
  assert.deepEqual(await server.sql(`select count(*)::int as n from accounts where name = 'name ' || id`), [{ n: 20 }])
})

test('F15: whoever listens on the port of an application gets the token of that application alone, and leads it nowhere else', async (t) => {
  const asked: string[] = []
  const elsewhere = createServer((request, answer) => {
    asked.push(`elsewhere ${request.headers.authorization ?? ''}`)
    answer.end('{}')
  })
  const squatter = createServer((request, answer) => {
    asked.push(request.headers.authorization ?? '')
    const { port } = elsewhere.address() as AddressInfo
    answer.writeHead(307, { location: `http://127.0.0.1:${port}${request.url ?? ''}` }).end()
  })
  for (const one of [elsewhere, squatter]) {
    await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))
    t.after(() => one.close())
  }
  const http = `http://127.0.0.1:${(squatter.address() as AddressInfo).port}`
  const config = application.config.parse({ app: 'shop', http, token: 'token of the shop alone' })
  const options = { install: 'abcdef', run: 'r1', clock: systemClock, signal: new AbortController().signal }
  const agent = await application.connect(config, options)
  const error = await agent.discover(options.signal).then(
    () => undefined,
    (failure: unknown) => failure,
  )
  await agent.close()
  assert.ok(error instanceof Error)
  assert.doesNotMatch(messageOf(error), /token of the shop/)
  assert.deepEqual([...new Set(asked)], ['Bearer token of the shop alone'])
})
