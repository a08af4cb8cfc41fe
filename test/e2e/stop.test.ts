/** SIGTERM to a daemon in every phase of a run: everything is undone. And with its target away: the next start finishes. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type pg from 'pg'
import type { ChaosEvent, RunPhase } from '../../src/core/events.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { forward } from '../labs/forward.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { Chaos, signal } from './chaos.ts'
import { connect } from './world.ts'

const PHASES: RunPhase[] = ['connect', 'discover', 'plan', 'claim', 'apply', 'soak', 'quiesce', 'rollback']

describe('SIGTERM to a daemon', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let watcher: pg.Client
  let chaos: Chaos

  before(async () => {
    server = await startPostgres()
    await server.sql('create table things (id serial primary key, label text)')
    await server.sql(`insert into things (label) select 'thing ' || i from generate_series(1, 500) i`)
    watcher = await connect(server.url())
  })
  after(async () => {
    await watcher.end()
    await server.stop()
  })
  beforeEach(() => void (chaos = new Chaos()))
  afterEach(() => chaos.remove())

  const config = (url: string, duration: string, settings: object = {}): string =>
    chaos.config({
      settings,
      experiments: [
        {
          name: 'nightly',
          target: 'database',
          target_config: { connection_url: url },
          skills: [
            { skill_name: 'db.insert_load', params: { tables: ['things'], rows_per_table: 2000, batch_rows: 200 } },
            { skill_name: 'db.update_load', params: { tables: ['things'], rows: 100 } },
            { skill_name: 'db.config_change', params: { changes: [{ param: 'work_mem', value: '5MB' }] } },
            { skill_name: 'db.table_lock', params: { tables: ['things'], lock_mode: 'share' } },
          ],
          duration,
          schedule: '* * * * * *',
        },
      ],
    })
  const picture = () => snapshot(server.url())
  const left = async (): Promise<number> => {
    const { rows } = await watcher.query<{ n: string }>(
      `select count(*) n from pg_stat_activity where application_name like 'chaos-%'`,
    )
    return Number(rows[0]?.n)
  }

  for (const phase of PHASES) {
    test(`in ${phase} it undoes everything, and ends with 0`, async (t) => {
      const before = await picture()
      // In the phases after the soak, which must not be long then.
      const daemon = chaos.start([
        'daemon',
        config(server.url(), phase === 'quiesce' || phase === 'rollback' ? '100ms' : '60s'),
        '--json',
      ])
      await daemon.until((e: ChaosEvent) => e.type === 'run.phase' && e.phase === phase)
      const begun = performance.now()
      signal(daemon.child.pid, 'SIGTERM')
      const { code, out, err } = await daemon.exit
      t.diagnostic(`${phase}: undone and ended ${Math.round(performance.now() - begun)} ms after SIGTERM`)
      assert.equal(code, 0, out + err)
      assert.deepEqual(diff(before, await picture()), [])
      assert.equal(await left(), 0)
      assert.equal((await chaos.run(['recover'])).out, 'nothing to recover\n')
    })
  }

  test('with its target away it ends with 4 after stop_deadline, its journal intact, and the next start finishes', async (t) => {
    const before = await picture()
    const port = Number(new URL(server.url()).port)
    const way = await forward('127.0.0.1', port)
    const url = server.url().replace(String(port), String(way.port))
    const daemon = chaos.start(['daemon', config(url, '60s', { stop_deadline: '2s' }), '--json'])
    await daemon.until((e: ChaosEvent) => e.type === 'run.phase' && e.phase === 'soak')
    way.close()
    const begun = performance.now()
    signal(daemon.child.pid, 'SIGTERM')
    const { code } = await daemon.exit
    const took = performance.now() - begun
    t.diagnostic(`ended ${Math.round(took)} ms after SIGTERM, with a stop_deadline of 2 s`)
    assert.equal(code, 4)
    assert.ok(took >= 1_900, 'it did not wait for its target')
    const shown = await chaos.run(['recover', '--dry-run'])
    assert.equal(shown.code, 4)
    assert.match(shown.out, /\d+ steps to undo/)
    // Rotated to where it can be reached; the configuration of that name is tried first.
    const next = chaos.start(['daemon', config(server.url(), '60s'), '--json'])
    await next.until((e: ChaosEvent) => e.type === 'daemon.ready')
    signal(next.child.pid, 'SIGTERM')
    assert.equal((await next.exit).code, 0)
    assert.deepEqual(diff(before, await picture()), [])
    assert.equal(await left(), 0)
  })
})
