/** The cases that a design with an undo list in memory, a killed client or a host name as identity loses data on. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { Chaos, signal } from './chaos.ts'
import { connect, differences, readRows, SCHEMA, serverState } from './world.ts'

describe('nothing is lost where the obvious design loses', { timeout: 10 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  let watcher: pg.Client
  let application: pg.Client

  before(async () => {
    server = await startPostgres()
    await server.sql(SCHEMA)
    await server.sql(`alter system set maintenance_work_mem = '70MB'`)
    await server.sql('select pg_reload_conf()')
    watcher = await connect(server.url())
    application = await connect(server.url())
  })
  after(async () => {
    await watcher.end()
    await application.end()
    await server.stop()
  })
  beforeEach(async () => {
    await application.query('rollback')
    chaos = new Chaos()
  })
  afterEach(() => chaos.remove())

  const config = (skills: object[], duration = '30s', url = server.url()): string =>
    chaos.config({
      experiments: [
        {
          name: 'e',
          target: 'database',
          target_config: { connection_url: url },
          skills,
          duration,
          limits: { percent: 100, rows: 2_000_000 },
        },
      ],
    })
  const update = { skill_name: 'db.update_load', params: { tables: ['plain'], rows: 50 } }
  const picture = async (): Promise<{
    rows: Awaited<ReturnType<typeof readRows>>
    state: Awaited<ReturnType<typeof serverState>>
  }> => ({
    rows: await readRows(watcher),
    state: await serverState(watcher),
  })
  const assertSame = async (fresh: Awaited<ReturnType<typeof picture>>): Promise<void> => {
    const now = await picture()
    assert.deepEqual(differences(fresh.rows, now.rows), [])
    assert.deepEqual(now.state, fresh.state)
  }
  /** Waits until a session of ours does what the condition says. */
  const seen = async (condition: string): Promise<void> => {
    for (let i = 0; i < 600; i++) {
      const { rowCount } = await watcher.query(
        `select 1 from pg_stat_activity where application_name like 'chaos-%' and ${condition}`,
      )
      if (rowCount) return
      await sleep(20)
    }
    const { rows } = await watcher.query(
      `select application_name, state, wait_event_type, query from pg_stat_activity where backend_type = 'client backend'`,
    )
    assert.fail(`no session of ours with ${condition}: ${JSON.stringify(rows)}`)
  }
  const killBoth = (child: { kill(name: NodeJS.Signals): boolean }): void => {
    const workers = chaos.holder()?.workers ?? []
    child.kill('SIGKILL')
    for (const worker of workers) signal(worker.pid, 'SIGKILL')
  }
  const recover = async (): Promise<void> => {
    const { code, out, err } = await chaos.run(['recover'])
    assert.equal(code, 0, `${out}\n${err}`)
  }

  test('killed while its UPDATE waits for a row lock of the application: nothing lands after recovery', async () => {
    const fresh = await picture()
    await application.query('begin')
    await application.query('select * from plain for update')
    const run = chaos.start(['run', config([update])])
    await seen(`wait_event_type = 'Lock'`)
    killBoth(run.child)
    await run.exit
    // The client is dead and the statement still waits: it would land as soon as the application commits.
    await seen(`wait_event_type = 'Lock'`)
    await recover()
    await application.query('commit')
    await sleep(500)
    await assertSame(fresh)
  })

  test('killed while a bulk INSERT is running: nothing lands after recovery', async () => {
    const fresh = await picture()
    const big = {
      skill_name: 'db.insert_load',
      params: { tables: ['plain'], rows_per_table: 400_000, batch_rows: 200_000 },
    }
    const run = chaos.start(['run', config([big])])
    await seen(`backend_xid is not null and query ~* '^copy|insert into'`)
    killBoth(run.child)
    await run.exit
    await recover()
    await sleep(500)
    await assertSame(fresh)
  })

  test('supervisor killed while its worker is before COMMIT: recovery waits until the worker has undone and is gone', async () => {
    const fresh = await picture()
    await application.query('begin')
    await application.query('select * from plain for update')
    const run = chaos.start(['run', config([update])])
    await seen(`wait_event_type = 'Lock'`)
    run.child.kill('SIGKILL')
    const recovering = recover()
    await sleep(300)
    await application.query('commit')
    await recovering
    await assertSame(fresh)
  })

  test('supervisor killed while its worker is frozen before COMMIT: recovery ends the worker, then undoes', async () => {
    const fresh = await picture()
    await application.query('begin')
    await application.query('select * from plain for update')
    const run = chaos.start(['run', config([update])])
    await seen(`wait_event_type = 'Lock'`)
    const [worker] = chaos.holder()?.workers ?? []
    assert.ok(worker)
    signal(worker.pid, 'SIGSTOP')
    run.child.kill('SIGKILL')
    await application.query('commit')
    const second = await chaos.run(['run', config([update], '100ms')])
    assert.equal(second.code, 0, second.out + second.err)
    assert.throws(() => process.kill(worker.pid, 0), 'the frozen worker is gone')
    await assertSame(fresh)
  })

  test('one setting of one server through localhost and 127.0.0.1: the second run waits, and the setting ends as it was', async () => {
    const fresh = await picture()
    const experiment = (host: string, value: string): object => ({
      experiment: {
        name: host,
        target: 'database',
        target_config: { connection_url: server.url('postgres', 'postgres', host) },
        skills: [{ skill_name: 'db.config_change', params: { changes: [{ param: 'maintenance_work_mem', value }] } }],
        duration: '3s',
      },
      schedule: '*/4 * * * * *',
    })
    const file = chaos.config({
      settings: { max_concurrent: 2 },
      experiments: [experiment('localhost', '71MB'), experiment('127.0.0.1', '72MB')],
    })
    const daemon = chaos.start(['daemon', file, '--json'])
    const waits = await daemon.until(
      (e) => e.type === 'run.phase' && e.phase === 'claim' && (e.detail ?? '').startsWith('waits'),
    )
    assert.ok('run' in waits)
    await daemon.until((e) => e.type === 'run.phase' && e.run === waits.run && e.phase === 'soak')
    await daemon.until((e) => e.type === 'run.finished' && e.run === waits.run && e.report.outcome === 'completed')
    daemon.child.kill('SIGTERM')
    const { code, out, err } = await daemon.exit
    assert.equal(code, 0, `${out}\n${err}`)
    await assertSame(fresh)
  })

  test('another installation on the same server is refused by name while a run holds the setting', async () => {
    const fresh = await picture()
    const other = new Chaos()
    try {
      const change = (value: string): object => ({
        skill_name: 'db.config_change',
        params: { changes: [{ param: 'maintenance_work_mem', value }] },
      })
      const first = chaos.start(['run', config([change('73MB')]), '--json'])
      await first.until((e) => e.type === 'run.phase' && e.phase === 'soak')
      const refused = await other.run([
        'run',
        config([change('74MB')], '1s', server.url('postgres', 'postgres', 'localhost')),
        '--json',
      ])
      assert.equal(refused.code, 3, refused.out + refused.err)
      assert.match(refused.out, /in use by chaos-[a-z0-9]+-/)
      first.child.kill('SIGINT')
      assert.equal((await first.exit).code, 130)
      await assertSame(fresh)
    } finally {
      other.remove()
    }
  })
})
