/** A running daemon under its controls: what operators say takes effect, holds over restarts, and leaves nothing behind. */
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { stringify } from 'yaml'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Report } from '../../src/core/report.ts'
import type { DaemonStatus } from '../../src/core/status.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { forward } from '../labs/forward.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import { Chaos, signal } from './chaos.ts'
import type { Running } from './chaos.ts'

/** Never due while a test runs. */
const NEVER = '0 0 0 29 2 *'
const EVERY_SECOND = '* * * * * *'

describe('the controls of a daemon', { timeout: 15 * 60_000 }, () => {
  let server: Postgres
  let chaos: Chaos
  let daemon: Running | undefined

  before(async () => {
    server = await startPostgres()
    await server.sql('create table things (id serial primary key, label text)')
    await server.sql(`insert into things (label) select 'thing ' || i from generate_series(1, 50) i`)
  })
  after(() => server.stop())
  beforeEach(() => void (chaos = new Chaos()))
  afterEach(async () => {
    signal(daemon?.child.pid, 'SIGTERM')
    await daemon?.exit
    daemon = undefined
    chaos.remove()
  })

  const experiment = (name: string, more: object = {}): object => ({
    name,
    target: 'database',
    target_config: { connection_url: server.url() },
    skills: [{ skill_name: 'db.update_load', params: { tables: ['things'], rows: 10 } }],
    duration: '60s',
    schedule: NEVER,
    ...more,
  })
  const configOf = (experiments: object[], settings: object = {}): string => stringify({ settings, experiments })
  const start = async (file: string): Promise<Running> => {
    daemon = chaos.start(['daemon', file, '--json'])
    await daemon.until((e) => e.type === 'daemon.ready')
    return daemon
  }
  const status = async (): Promise<DaemonStatus> =>
    (JSON.parse((await chaos.run(['status', '--json'])).out) as { daemon: DaemonStatus }).daemon
  const soaking = (run?: string) => (e: ChaosEvent) =>
    e.type === 'run.phase' && e.phase === 'soak' && (run === undefined || e.run === run)
  const skipped = (cause: string) => (e: ChaosEvent) => e.type === 'schedule.skipped' && e.cause === cause
  const picture = () => snapshot(server.url())

  test("the control socket is its owner's alone; without a daemon every control says so with 1", async () => {
    for (const args of [['abort', 'x'], ['run-now', 'x'], ['reload'], ['disable', 'x'], ['trust']]) {
      const { code, err } = await chaos.run(args)
      assert.equal(code, 1, args[0])
      assert.match(err, /no daemon is up on .*chaos daemon CONFIG starts one/)
    }
    await start(chaos.config(configOf([experiment('one')])))
    const { control = '' } = chaos.holder() ?? {}
    assert.equal(statSync(control).mode & 0o777, 0o600)
  })

  test('run-now runs beside the schedule, status tells its phase, and abort undoes it while it waits', async () => {
    const before = await picture()
    const running = await start(chaos.config(configOf([experiment('one'), experiment('short', { duration: '200ms' })])))
    const done = await chaos.run(['run-now', 'short', '--wait', '--json'])
    assert.equal(done.code, 0)
    assert.equal((JSON.parse(done.out) as Report).outcome, 'completed')
    const { run } = JSON.parse((await chaos.run(['run-now', 'one', '--json'])).out) as { run: string }
    await running.until(soaking(run))
    const seen = (await status()).running.find((r) => r.run === run)
    assert.deepEqual([seen?.phase, seen?.experiment, seen?.steps_done, seen?.steps_total], ['soak', 'one', 1, 1])
    assert.ok(Date.parse(seen?.soak_ends ?? '') > Date.now())
    const twice = await chaos.run(['run-now', 'one'])
    assert.equal(twice.code, 3)
    assert.match(twice.err, /one is running \(/)
    const aborted = await chaos.run(['abort', run])
    assert.equal(aborted.code, 0)
    assert.match(aborted.out, /aborted: 1 of 1 step undone, residue 0 {2}\(chaos abort\)/)
    assert.deepEqual(diff(before, await picture()), [])
    assert.equal((await chaos.run(['abort', run])).code, 2)
    const unknown = await chaos.run(['run-now', 'three'])
    assert.equal(unknown.code, 2)
    assert.match(unknown.err, /no experiment "three"; there is "one", "short"/)
  })

  test('freeze ends and undoes what runs, holds over a restart, and is for run as well; unfreeze ends it', async () => {
    const before = await picture()
    const file = chaos.config(configOf([experiment('one', { schedule: EVERY_SECOND })]))
    const first = await start(file)
    await first.until(soaking())
    const frozen = await chaos.run(['freeze', 'release day'])
    assert.equal(frozen.code, 0)
    assert.match(frozen.out, /frozen: release day\none was ended and undone/)
    assert.deepEqual(diff(before, await picture()), [])
    await first.until(skipped('frozen'))
    signal(first.child.pid, 'SIGKILL')
    await first.exit
    const second = await start(file)
    await second.until(skipped('frozen'))
    assert.match((await chaos.run(['status'])).out, /frozen since .*: release day/)
    assert.equal((await chaos.run(['run-now', 'one'])).code, 3)
    assert.equal((await chaos.run(['unfreeze'])).code, 0)
    await second.until(soaking())
    signal(second.child.pid, 'SIGTERM')
    await second.exit
    // Where no daemon is up the order is written for the next one, and for run.
    assert.equal((await chaos.run(['freeze', '--for', '20s'])).code, 0)
    const refused = await chaos.run(['run', file])
    assert.equal(refused.code, 3)
    assert.match(refused.err, /frozen: chaos freeze; chaos unfreeze ends that/)
    const third = await start(file)
    await third.until((e) => e.type === 'daemon.unfrozen' && e.reason === 'its time is over')
    await third.until(soaking())
  })

  test('a disabled experiment is skipped over a restart until it is enabled or its time has come', async () => {
    const file = chaos.config(
      configOf([experiment('one', { schedule: EVERY_SECOND }), experiment('two', { schedule: EVERY_SECOND })]),
    )
    const first = await start(file)
    assert.equal((await chaos.run(['disable', 'one'])).code, 0)
    assert.equal((await chaos.run(['disable', 'none-such'])).code, 2)
    assert.equal((await chaos.run(['disable', 'two', '--until', 'yesterday'])).code, 2)
    signal(first.child.pid, 'SIGTERM')
    await first.exit
    const second = await start(file)
    await second.until((e) => e.type === 'schedule.skipped' && e.experiment === 'one' && e.cause === 'disabled')
    assert.deepEqual((await status()).experiments.find((e) => e.experiment === 'one')?.disabled, {})
    assert.equal((await chaos.run(['enable', 'one'])).code, 0)
    await second.until((e) => e.type === 'run.started' && e.experiment === 'one')
  })

  test('reload validates first: a mistake changes nothing and stays in status; what runs keeps its configuration', async () => {
    const file = chaos.config(configOf([experiment('one')]))
    const running = await start(file)
    const { run } = JSON.parse((await chaos.run(['run-now', 'one', '--json'])).out) as { run: string }
    await running.until(soaking(run))

    writeFileSync(file, configOf([experiment('one', { duration: 'for ever' })]))
    const bad = await chaos.run(['reload'])
    assert.equal(bad.code, 2)
    assert.match(bad.err, /:\d+:\d+: experiments\[0\]\.duration: must be a duration/)
    assert.match((await status()).config.problem ?? '', /duration/)

    writeFileSync(file, configOf([experiment('two', { schedule: EVERY_SECOND, duration: '100ms' })]))
    signal(running.child.pid, 'SIGHUP')
    await running.until((e) => e.type === 'daemon.reloaded' && e.experiments === 1)
    await running.until((e) => e.type === 'run.started' && e.experiment === 'two')
    const now = await status()
    assert.equal(now.config.problem, undefined)
    assert.deepEqual(
      now.experiments.map((e) => e.experiment),
      ['two'],
    )
    assert.ok(
      now.running.some((r) => r.run === run),
      'the run of the old configuration has ended',
    )
    assert.equal((await chaos.run(['abort', run])).code, 0)
  })

  test('with trust: require nothing is changed on a system that was never broken until somebody trusts it', async () => {
    const before = await picture()
    const file = chaos.config(
      configOf([experiment('one', { schedule: EVERY_SECOND, duration: '100ms' })], { trust: 'require' }),
    )
    const running = await start(file)
    await running.until(skipped('untrusted'))
    assert.deepEqual(diff(before, await picture()), [])
    const [waits] = (await status()).untrusted
    assert.match(waits?.summary ?? '', /PostgreSQL/)
    assert.match((await chaos.run(['trust'])).out, /one on postgres:.*PostgreSQL.*system_identifier/)
    assert.equal((await chaos.run(['trust', 'two'])).code, 2)
    assert.equal((await chaos.run(['trust', 'one'])).code, 0)
    await running.until((e) => e.type === 'run.finished' && e.report.outcome === 'completed')
    signal(running.child.pid, 'SIGTERM')
    await running.exit
    // Once is enough, whatever name the server goes by.
    const again = await start(
      chaos.config(
        configOf(
          [
            experiment('other', {
              schedule: EVERY_SECOND,
              duration: '100ms',
              target_config: { connection_url: server.url().replace('127.0.0.1', 'localhost') },
            }),
          ],
          { trust: 'require' },
        ),
      ),
    )
    await again.until((e) => e.type === 'run.finished' && e.report.outcome === 'completed')
  })

  test('what cannot be undone is handed over while the daemon runs: another address, or an accepted residue', async () => {
    const before = await picture()
    const { port } = new URL(server.url())
    const way = await forward('127.0.0.1', Number(port))
    const url = server.url().replace(port, String(way.port))
    const there = (name: string): object => experiment(name, { target_config: { connection_url: url } })
    const running = await start(chaos.config(configOf([there('one')], { stop_deadline: '1s' })))
    const { run } = JSON.parse((await chaos.run(['run-now', 'one', '--json'])).out) as { run: string }
    await running.until(soaking(run))
    way.close()
    signal(running.child.pid, 'SIGTERM')
    const { code } = await running.exit
    assert.equal(code, 4)

    // The next daemon starts, cannot reach it either, and keeps its target from new runs.
    const next = chaos.start(['daemon', chaos.config(configOf([there('one')])), '--json'])
    daemon = next
    await next.until((e) => e.type === 'daemon.ready')
    assert.equal((await chaos.run(['run-now', 'one'])).code, 4)
    const [blocked] = (await status()).blocked
    assert.equal(blocked?.run, run)
    assert.equal((await chaos.run(['status'])).code, 4)
    assert.equal((await chaos.run(['recover', '--run', run])).code, 4)
    assert.equal((await chaos.run(['recover', '--accept-residue', '--note', 'x'])).code, 2)
    assert.equal((await chaos.run(['recover', '--run', run, '--accept-residue'])).code, 2)

    // The address it has really: the same system, by its identity.
    const config = chaos.config(stringify({ connection_url: server.url() }))
    const recovered = await chaos.run(['recover', '--run', run, '--target-config', config])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    assert.deepEqual(diff(before, await picture()), [])
    assert.deepEqual((await status()).blocked, [])
    assert.equal((await chaos.run(['status'])).code, 0)
  })

  test('accepted residue ends the run without its target, is in the report with its note, and unblocks', async () => {
    const { port } = new URL(server.url())
    const way = await forward('127.0.0.1', Number(port))
    const url = server.url().replace(port, String(way.port))
    const running = await start(
      chaos.config(configOf([experiment('one', { target_config: { connection_url: url } })], { stop_deadline: '1s' })),
    )
    const { run } = JSON.parse((await chaos.run(['run-now', 'one', '--json'])).out) as { run: string }
    await running.until(soaking(run))
    way.close()
    signal(running.child.pid, 'SIGTERM')
    await running.exit
    daemon = undefined
    const dirty = await chaos.run(['recover', '--run', run, '--accept-residue', '--step', '7', '--note', 'gone'])
    assert.equal(dirty.code, 4)
    const accepted = await chaos.run(['recover', '--run', run, '--accept-residue', '--note', 'the server is scrapped'])
    assert.equal(accepted.code, 0, accepted.out + accepted.err)
    const report = JSON.parse((await chaos.run(['report', run, '--json'])).out) as Report
    assert.equal(report.steps[0]?.state, 'accepted')
    assert.match(JSON.stringify(report), /the server is scrapped/)
    assert.equal((await chaos.run(['recover'])).out, 'nothing to recover\n')
  })
})
