/** What a PostgreSQL tells of itself: gauges of now, totals within one epoch, and nothing of our own sessions. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { connectBounded } from '../../../src/core/bounded-agent.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { Sample } from '../../../src/core/sample.ts'
import type { Agent } from '../../../src/core/target.ts'
import { database } from '../../../src/targets/database/index.ts'
import { startPostgres } from '../../labs/embedded-postgres.ts'
import type { Postgres } from '../../labs/embedded-postgres.ts'

let server: Postgres
let agent: Agent
const { signal } = new AbortController()
const connect = (user?: string, run = 'r1') =>
  connectBounded(database, database.config.parse({ connection_url: server.url('postgres', user) }), {
    ...{ install: 'abcdef', run, clock: systemClock, signal },
  })
before(async () => {
  server = await startPostgres()
  await server.sql('create table a (id int primary key); create role plain login')
  agent = await connect()
})
after(async () => {
  await agent.close()
  await server.stop()
})

const sample = (of = agent): Promise<Sample> => of.sample!(signal)
/** Statistics of other sessions come a little later. */
async function eventually(holds: (now: Sample) => boolean, of = agent): Promise<void> {
  const end = performance.now() + 20_000
  for (let now = await sample(of); !holds(now); now = await sample(of)) {
    assert.ok(performance.now() < end, JSON.stringify(now))
    await systemClock.sleep(50)
  }
}

for (const user of [undefined, 'plain']) {
  test(`a session that waits for a lock is seen by ${user ?? 'a superuser'}, ours are not`, async () => {
    const own = await connect(user)
    const [holder, waiter] = [1, 2].map(() => new pg.Client({ connectionString: server.url() }))
    try {
      assert.equal((await sample(own)).gauges['waiting_on_locks'], 0)
      await Promise.all([holder!.connect(), waiter!.connect()])
      await holder!.query('begin; lock table a')
      const waiting = waiter!.query('select * from a')
      await eventually(({ gauges }) => gauges['waiting_on_locks'] === 1 && gauges['sessions'] === 2, own)
      if (user === undefined) {
        const { gauges } = await sample(own)
        assert.equal(gauges['idle_in_transaction'], 1)
        assert.ok(gauges['oldest_transaction_s']! > 0)
      }
      await holder!.query('rollback')
      await waiting
      await eventually(({ gauges }) => gauges['waiting_on_locks'] === 0, own)
    } finally {
      await holder!.end()
      await waiter!.end()
      await own.close()
    }
  })
}

test('commits, rollbacks and the rest are totals of one epoch, which every look has', async () => {
  const first = await sample()
  assert.deepEqual(Object.keys(first.counters).sort(), ['blks_hit', 'blks_read', 'commits', 'deadlocks', 'rollbacks', 'temp_bytes']) // prettier-ignore
  for (let n = 0; n < 5; n++) await server.sql('insert into a select coalesce(max(id), 0) + 1 from a')
  await eventually(({ counters }) => counters['commits']! >= first.counters['commits']! + 5)
  assert.equal((await sample()).epoch, first.epoch)
  assert.ok(first.round_trip_ms > 0)
})

test('its session is ours by name and proof, quiesce in the same process leaves it, and one that is ended is opened anew', async () => {
  await sample()
  const ours = () => server.sql(`select pid::text from pg_stat_activity where application_name = 'chaos-abcdef-r1-0'`)
  const sessions = await ours()
  await agent.quiesce('r1', signal)
  assert.deepEqual(await ours(), sessions)
  const other = await connect(undefined, 'r2')
  const swept = await other.sweep('abcdef', signal)
  await other.close()
  assert.equal(swept.filter(({ mark }) => mark === 'chaos-abcdef-r1-0').length, sessions.length)
  await server.sql(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like 'chaos-%'`)
  await assert.rejects(sample(), /terminat|connection/)
  assert.equal((await sample()).gauges['waiting_on_locks'], 0)
})
