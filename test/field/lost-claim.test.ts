/** The session that holds the claims of a run is ended in its soak: they are taken again, or the run says that it has lost them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { database } from '../../src/targets/database/index.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'

let server: Postgres
const folder = mkdtempSync(join(tmpdir(), 'chaos-claim-'))
before(async () => {
  server = await startPostgres()
  await server.sql('create table a (id int primary key, n int); insert into a select i, i from generate_series(1, 9) i')
})
after(async () => {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

const rows = { skill_name: 'db.update_load', params: { tables: ['a'], rows: 2 } }
const setting = { skill_name: 'db.config_change', params: { changes: [{ param: 'work_mem', value: '5MB' }] } }

async function run(
  name: string,
  skill: object,
  soakMs: number,
  inSoak: (mark: string) => Promise<unknown>,
  connection_url = server.url(),
) {
  const state = await openStateDir(join(folder, name))
  const target_config = { connection_url, db_type: 'postgres', schemas: [] }
  return runExperiment({
    experiment: fakeExperiment([skill], { target: 'database', target_config, duration_ms: soakMs }),
    ...{ target: database, ...state, run: name, seed: 's', clock: systemClock, signal: new AbortController().signal },
    emit(event: EventBody) {
      if (event.type === 'run.phase' && event.phase === 'soak') void inSoak(`chaos-${state.install}-${name}-0`)
    },
    claim: () => Promise.resolve({ waited: false }),
  })
}

/** Our sessions that have claims, and a stranger's that gets each of them as soon as they end. */
async function takeOver(mark: string, database: string, stranger: pg.Client): Promise<void> {
  const held = await server.sql(
    `select l.classid::text as class, l.objid::text as id from pg_locks l join pg_stat_activity a using (pid)
      where l.locktype = 'advisory' and l.objsubid = 1 and a.application_name = '${mark}' and a.datname = '${database}'`,
  )
  assert.ok(held.length > 0)
  await stranger.connect()
  const waiting = held.map(({ class: high, id }) =>
    stranger.query('select pg_advisory_lock(($1::bigint << 32) | $2::bigint)', [high, id]),
  )
  while ((await server.sql(`select 1 as n from pg_locks where locktype = 'advisory' and not granted`)).length === 0);
  await end(mark, database)
  await Promise.all(waiting)
}

const end = (mark: string, database: string) =>
  server.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = '${mark}' and datname = '${database}'`)

for (const [name, skill] of Object.entries({ rows, setting })) {
  test(`claims on ${name}: somebody else has one of them by the time that our session is back: the run ends, and is undone`, async () => {
    const stranger = new pg.Client({ connectionString: server.url(), application_name: 'billing' })
    try {
      const report = await run(name, skill, 5 * 60_000, (mark) => takeOver(mark, 'postgres', stranger))
      assert.deepEqual([report.outcome, report.code, report.residue], ['failed', 'TARGET_FAILED', []])
      assert.match(
        report.reason ?? '',
        /^the claims of this run are lost: .*; postgres\/.* is in use by billing \(role postgres, .*\) now$/,
      )
      assert.deepEqual(await server.sql('select sum(n)::int as n from a'), [{ n: 45 }])
      assert.deepEqual(await server.sql(`select 1 as n from pg_settings where name = 'work_mem' and setting = '5120'`), []) // prettier-ignore
    } finally {
      await stranger.end()
    }
  })

  test(`claims on ${name}: the session ends and nobody else wants them: they are taken again, and the run is completed`, async () => {
    let again: unknown[] = []
    const report = await run(`${name}again`, skill, 4_000, async (mark) => {
      await end(mark, 'postgres')
      await systemClock.sleep(2_000)
      again = await server.sql(
        `select 1 as n from pg_locks l join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and a.application_name = '${mark}'`,
      )
    })
    assert.deepEqual([report.outcome, report.residue], ['completed', []], report.reason)
    assert.ok(again.length > 0, 'the claims are held again')
  })
}

/** In front of the server. What it cuts off the server takes for alive, as it does where a network drops what is on its way. */
async function cuttable() {
  const pairs = new Set<readonly [client: Socket, server: Socket]>()
  const proxy = createServer((client) => {
    const inner = connect(server.port, '127.0.0.1')
    const pair = [client, inner] as const
    pairs.add(pair)
    client.pipe(inner, { end: false })
    inner.pipe(client)
    for (const socket of pair) socket.on('error', () => undefined)
    client.on('end', () => {
      if (pairs.delete(pair)) inner.end()
    })
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return {
    port: (proxy.address() as AddressInfo).port,
    /** Gives a function that lets the server know. */
    cut(): () => void {
      const cut = [...pairs]
      pairs.clear()
      for (const [client] of cut) client.destroy()
      return () => {
        for (const [, inner] of cut) inner.destroy()
      }
    },
    close(): void {
      for (const pair of pairs) for (const socket of pair) socket.destroy()
      proxy.close()
    },
  }
}

test('claims that a session of ours still has which the server does not know to be cut off are waited for', async () => {
  const way = await cuttable()
  try {
    let held: unknown[] = []
    const soak = async (mark: string): Promise<void> => {
      const tell = way.cut()
      await systemClock.sleep(2_500)
      tell()
      await systemClock.sleep(3_000)
      held = await server.sql(
        `select 1 as n from pg_locks l join pg_stat_activity a using (pid)
          where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and a.application_name = '${mark}'`,
      )
    }
    const report = await run('zombie', rows, 8_000, soak, server.url().replace(`:${server.port}`, `:${way.port}`))
    assert.deepEqual([report.outcome, report.residue], ['completed', []], report.reason)
    assert.ok(held.length > 0, 'the claims are held again')
  } finally {
    way.close()
  }
})
