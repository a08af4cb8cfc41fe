/** The systemd unit in a host of its own: started, killed, cut from the power, stuck and stopped in every phase of a run. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { forward } from '../labs/forward.ts'
import type { Forward } from '../labs/forward.ts'
import { hostsMissing, startHosts } from '../labs/hosts.ts'
import type { Host, Hosts } from '../labs/hosts.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'
import { ChaosUnit, packageBinds, phase, says } from './service-host.ts'
import type { Line } from './service-host.ts'

const SCHEMA = `
  create table customers (id serial primary key, name text not null, note text);
  create table stock (id serial primary key, name text not null, pieces integer not null);
  create table ledger (id serial primary key, what text);
  insert into customers (name) select 'customer ' || i from generate_series(1, 50) i;
  insert into stock (name, pieces) select 'thing ' || i, i from generate_series(1, 200) i;`

/** A run is due every so often, and takes less than half of it. */
const EVERY_S = 20
const PHASES = ['apply', 'soak', 'rollback'] as const

describe('the systemd unit', { skip: hostsMissing() ?? false, timeout: 25 * 60_000 }, () => {
  let server: Postgres
  let hosts: Hosts
  let host: Host
  let bridge: Forward
  let unit: ChaosUnit
  let fresh: Snapshot

  before(async () => {
    server = await startPostgres()
    await server.sql(SCHEMA)
    hosts = await startHosts({ count: 1, binds: packageBinds })
    host = hosts.hosts[0]!
    bridge = await forward(hosts.gateway, server.port)
    unit = new ChaosUnit(host)
    await unit.install(config(), 'canary-password')
    unit.follow()
    fresh = await snapshot(server.url())
  })
  after(async () => {
    unit.close()
    await hosts.remove()
    bridge.close()
    await server.stop()
  })

  const config = (more = ''): string => `
settings: {stop_deadline: 60s}
experiments:
  - name: nightly
    target: database
    target_config:
      connection_url: postgres://postgres:\${file:$CREDENTIALS_DIRECTORY/db-password}@${hosts.gateway}:${bridge.port}/postgres
    skills:
      - {skill_name: db.insert_load, params: {tables: [customers], rows_per_table: 8000, batch_rows: 500}}
      - {skill_name: db.update_load, params: {tables: [stock], rows: 100}}
      - {skill_name: db.config_change, params: {changes: [{param: work_mem, value: 5MB}]}}
      - {skill_name: db.table_lock, params: {tables: [ledger]}}
    duration: 2s
    schedule: '*/${EVERY_S} * * * * *'
${more}`

  /** Nothing of ours is in the database, and nothing is pending. Call it when no run is under way. */
  async function assertNothingLeft(what: string): Promise<void> {
    assert.deepEqual(diff(fresh, await snapshot(server.url())), [], what)
    const left = await host.sh('cd /var/lib/chaos-agents && ls journal secrets | grep -v : || true')
    assert.equal(left.trim(), '', what)
  }

  async function startUnit(): Promise<void> {
    const { code, err } = await unit.systemctl('start', 'chaos.service')
    if (code !== 0) assert.fail(`${err}\n${await host.sh('journalctl -u chaos.service -n 20 -o cat')}`)
    assert.equal(await unit.show('ActiveState'), 'active')
  }

  /** The next slot after a moment becomes a run when it is due, or it is told that the run before it is not over. */
  async function assertNextRunOnTime(mark: number, after: number): Promise<void> {
    const due = await unit.until((line) => line.msg === 'schedule.due' && Date.parse(line.slot!) > after, mark)
    const overlaps = (slot: number) => (line: Line) =>
      line.msg === 'schedule.skipped' && line.cause === 'overlap' && Date.parse(line.slot!) === slot
    let next = (Math.floor(after / (EVERY_S * 1000)) + 1) * EVERY_S * 1000
    while (unit.since(mark).some(overlaps(next))) next += EVERY_S * 1000
    const lines = unit.since(mark).map((line) => JSON.stringify(line))
    assert.equal(Date.parse(due.slot!), next, `not the very next slot:\n${lines.join('\n')}`)
    assert.ok(Date.parse(due.time) - Date.parse(due.slot!) < 5_000, `due at ${due.slot}, begun at ${due.time}`)
  }

  test('its exposure is at most 2.0, by systemd-analyze security', async () => {
    const answer = await host.run(
      'systemd-analyze',
      'security',
      '--no-pager',
      '--offline=yes',
      '/etc/systemd/system/chaos.service',
    )
    const [, exposure] = /Overall exposure level for chaos\.service: ([\d.]+)/.exec(answer.out) ?? []
    assert.ok(Number(exposure) <= 2.0, answer.out + answer.err)
  })

  test('it is active only when ready, runs what is due, and tells systemd what it does; the password shows nowhere', async () => {
    const mark = unit.mark
    await startUnit()
    assert.match(await unit.show('StatusText'), /waiting for the next run|nightly/)
    await unit.until(phase('soak'), mark)
    await sleep(300)
    assert.match(await unit.show('StatusText'), /nightly: soak/)
    const done = await unit.until(says('run.finished'), mark)
    assert.equal(done.outcome, 'completed')
    await assertNothingLeft('after a run')
    const log = await host.sh('journalctl -u chaos.service -o cat')
    assert.doesNotMatch(log, /canary-password/)
    const pid = await unit.pid()
    assert.notEqual((await host.sh(`stat -c %u /proc/${pid}`)).trim(), '0', 'it does not run as root')
    await unit.reset()
  })

  test('with an undo pending it is activating until that is done, and active afterwards', async (t) => {
    let mark = unit.mark
    await startUnit()
    await unit.until(phase('soak'), mark)
    await powerCut()
    const client = new pg.Client({ connectionString: server.url() })
    await client.connect()
    // Whoever wants to undo has to wait for this.
    await client.query('begin; lock table stock')
    mark = unit.mark
    const begun = performance.now()
    const starting = unit.systemctl('start', 'chaos.service')
    await unit.until(phase('rollback'), mark)
    await sleep(500)
    assert.equal(await unit.show('ActiveState'), 'activating')
    await client.query('rollback')
    await client.end()
    assert.equal((await starting).code, 0)
    const [recovered, ready] = [
      await unit.until(says('recovery.finished'), mark),
      await unit.until(says('daemon.ready'), mark),
    ]
    assert.equal(recovered.pending, 0)
    assert.ok(recovered.time <= ready.time)
    await assertNothingLeft('when it is active')
    t.diagnostic(
      `start with 19 steps to undo, behind a lock for a while: active after ${ms(performance.now() - begun)}`,
    )
    await unit.reset()
  })

  async function powerCut(): Promise<void> {
    await host.powerCut()
    await host.boot()
    await host.booted()
    unit.follow()
  }

  const victims = {
    supervisor: async () => {
      await host.run('kill', '-9', String(await unit.pid()))
    },
    worker: async () => {
      const pid = await unit.pid()
      // Another child may just have ended by itself.
      const children = `$(cat /proc/${pid}/task/${pid}/children)`
      await host.sh(`for child in ${children}; do kill -9 $child || true; done`)
    },
    both: async () => {
      const pid = await unit.pid()
      // A child that has just ended by itself is no failure of the kill.
      const children = `children=$(cat /proc/${pid}/task/${pid}/children)`
      await host.sh(`${children}; kill -9 ${pid}; for child in $children; do kill -9 $child || true; done`)
    },
    'the power of the host': powerCut,
  }

  for (const [victim, kill] of Object.entries(victims)) {
    test(`after the end of ${victim} in apply, soak and rollback nothing is left, and the next run is on time`, async (t) => {
      await unit.systemctl('enable', 'chaos.service')
      await host.sh('sync')
      await startUnit()
      const took: string[] = []
      for (const name of PHASES) {
        const from = unit.mark
        await unit.until(phase(name), from)
        const mark = unit.mark
        const begun = performance.now()
        await kill()
        const ready = await unit.until(says(victim === 'worker' ? 'recovery.finished' : 'daemon.ready'), mark)
        took.push(`${name} ${ms(ready.read - begun)}`)
        assert.equal((await unit.until(says('recovery.finished'), mark)).pending, 0)
        // A run may have become due meanwhile, or late: then this is looked at when it is over, and not as the next begins.
        do await quiet(mark)
        while (Date.now() % (EVERY_S * 1000) > (EVERY_S - 4) * 1000)
        await assertNothingLeft(`${victim} killed in ${name}`)
        assert.equal(await unit.show('ActiveState'), 'active')
        await assertNextRunOnTime(mark, Date.now())
      }
      t.diagnostic(`from kill -9 to ${victim === 'worker' ? 'undone' : 'ready'}: ${took.join(', ')}`)
      await unit.reset()
      await unit.systemctl('disable', 'chaos.service')
    })
  }

  /** Waits until no run is under way, by the log: what systemd shows comes later. */
  async function quiet(mark: number): Promise<void> {
    const busy = (): boolean => {
      const lines = unit.since(mark)
      const [due, begun] = ['schedule.due', 'run.started'].map((msg) => lines.findLastIndex(says(msg)))
      const over = (run?: string): boolean => lines.some((line) => line.msg === 'run.finished' && line.run === run)
      return due! > begun! || lines.some((line) => line.msg === 'run.started' && !over(line.run))
    }
    // Its worker ends a little after the run.
    let looks = 0
    while (looks < 10) {
      looks = busy() ? 0 : looks + 1
      await sleep(200)
    }
    while ((await unit.show('StatusText')) !== 'waiting for the next run') await sleep(200)
  }

  test('systemctl stop in apply, soak and rollback undoes everything and ends inactive, not failed', async (t) => {
    const took: string[] = []
    for (const name of PHASES) {
      await startUnit()
      await unit.until(phase(name), unit.mark)
      const begun = performance.now()
      const { code, err } = await unit.systemctl('stop', 'chaos.service')
      took.push(`${name} ${ms(performance.now() - begun)}`)
      assert.equal(code, 0, err)
      assert.deepEqual([await unit.show('ActiveState'), await unit.show('Result')], ['inactive', 'success'], name)
      await assertNothingLeft(`stopped in ${name}`)
    }
    t.diagnostic(`systemctl stop: ${took.join(', ')}`)
  })

  test('chaos stop in the host does the same, and says that there is none afterwards', async () => {
    await startUnit()
    await unit.until(phase('soak'), unit.mark)
    const stopped = await host.run('chaos', 'stop', '--state-dir', '/var/lib/chaos-agents')
    assert.equal(stopped.code, 0, stopped.out + stopped.err)
    assert.match(stopped.out, /^stopped chaos daemon \(pid \d+\) in .*\nnothing is left to undo\n$/)
    await assertNothingLeft('after chaos stop')
    assert.equal((await host.run('chaos', 'stop', '--state-dir', '/var/lib/chaos-agents')).code, 1)
    await unit.reset()
  })

  test('a supervisor that is stuck is ended by the watchdog and started anew; its run is undone', async (t) => {
    const from = unit.mark
    await startUnit()
    await unit.until(phase('soak'), from)
    const mark = unit.mark
    const [pid, restarts] = [await unit.pid(), Number(await unit.show('NRestarts'))]
    const begun = performance.now()
    await host.run('kill', '-STOP', String(pid))
    const ready = await unit.until(says('daemon.ready'), mark)
    t.diagnostic(`stuck with WatchdogSec=4: ready again after ${ms(ready.read - begun)}`)
    assert.notEqual(await unit.pid(), pid)
    assert.equal(Number(await unit.show('NRestarts')), restarts + 1)
    assert.match(await host.sh('journalctl -u chaos.service -o cat'), /Watchdog timeout/)
    await quiet(mark)
    await assertNothingLeft('after the watchdog')
    await unit.reset()
  })

  test('a daemon that is well is not ended by the watchdog', async () => {
    const restarts = await unit.show('NRestarts')
    await startUnit()
    const pid = await unit.pid()
    await sleep(12_000)
    assert.deepEqual([await unit.pid(), await unit.show('NRestarts')], [pid, restarts])
    await unit.reset()
  })

  test('systemctl reload takes a new configuration, and fails with a wrong one, which changes nothing; so does SIGHUP', async (t) => {
    t.after(() => unit.configure(config()))
    await startUnit()
    const pid = await unit.pid()
    let mark = unit.mark
    unit.configure(config().replace('duration: 2s', 'duration: 3s'))
    const good = await unit.systemctl('reload', 'chaos.service')
    assert.equal(good.code, 0, good.err + (await host.sh('journalctl -u chaos.service -o cat -n 15')))
    await unit.until(says('daemon.reloaded'), mark)
    unit.configure(config('nonsense: 1\n'))
    mark = unit.mark
    assert.notEqual((await unit.systemctl('reload', 'chaos.service')).code, 0)
    await unit.until(says('daemon.reload_failed'), mark)
    mark = unit.mark
    await host.run('kill', '-HUP', String(pid))
    await unit.until(says('daemon.reload_failed'), mark)
    // A run that began before the reload has the soak of before.
    const begun = await unit.until(says('run.started'), mark)
    const of = (name: string) => (line: Line) => phase(name)(line) && line.run === begun.run
    const run = await unit.until(of('soak'), mark)
    const end = await unit.until(of('rollback'), mark)
    assert.ok(Date.parse(end.time) - Date.parse(run.time) >= 2_900, 'the soak of the first new configuration')
    assert.deepEqual([await unit.pid(), await unit.show('ActiveState')], [pid, 'active'])
    await unit.reset()
    await assertNothingLeft('after reloads')
  })

  test('a wrong configuration fails the unit with 2, and it is not started again', async (t: TestContext) => {
    t.after(() => unit.configure(config()))
    unit.configure(config('nonsense: 1\n'))
    const { code } = await unit.systemctl('start', 'chaos.service')
    assert.notEqual(code, 0)
    await sleep(2_000)
    assert.deepEqual([await unit.show('ActiveState'), await unit.show('ExecMainStatus')], ['failed', '2'])
    assert.match(await host.sh('journalctl -u chaos.service -o cat -n 20'), /chaos\.yaml:\d+:1.*nonsense/)
    await unit.reset()
  })
})

function ms(value: number): string {
  return `${(value / 1000).toFixed(1)} s`
}
