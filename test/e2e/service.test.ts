/** The systemd unit in a host of its own: started, stuck, stopped, reloaded. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { hostsMissing } from '../labs/hosts.ts'
import type { Host } from '../labs/hosts.ts'
import { phase, says } from './service-host.ts'
import type { ChaosUnit, Line } from './service-host.ts'
import { inSeconds, PHASES, ServiceLab } from './service-lab.ts'

describe('the systemd unit', { skip: hostsMissing() ?? false, timeout: 25 * 60_000 }, () => {
  let lab: ServiceLab
  let host: Host
  let unit: ChaosUnit

  before(async () => {
    lab = await ServiceLab.open()
    ;({ host, unit } = lab)
  })
  after(() => lab.close())

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
    await lab.startUnit()
    assert.match(await unit.show('StatusText'), /waiting for the next run|nightly/)
    await unit.until(phase('soak'), mark)
    await sleep(300)
    assert.match(await unit.show('StatusText'), /nightly: soak/)
    const done = await unit.until(says('run.finished'), mark)
    assert.equal(done.outcome, 'completed')
    await lab.assertNothingLeft('after a run')
    const log = await host.sh('journalctl -u chaos.service -o cat')
    assert.doesNotMatch(log, /canary-password/)
    const pid = await unit.pid()
    assert.notEqual((await host.sh(`stat -c %u /proc/${pid}`)).trim(), '0', 'it does not run as root')
    await unit.reset()
  })

  test('with an undo pending it is activating until that is done, and active afterwards', async (t) => {
    let mark = unit.mark
    await lab.startUnit()
    await unit.until(phase('soak'), mark)
    await lab.powerCut()
    const client = new pg.Client({ connectionString: lab.server.url() })
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
    await lab.assertNothingLeft('when it is active')
    t.diagnostic(
      `start with 19 steps to undo, behind a lock for a while: active after ${inSeconds(performance.now() - begun)}`,
    )
    await unit.reset()
  })

  test('systemctl stop in apply, soak and rollback undoes everything and ends inactive, not failed', async (t) => {
    const took: string[] = []
    for (const name of PHASES) {
      await lab.startUnit()
      await unit.until(phase(name), unit.mark)
      const begun = performance.now()
      const { code, err } = await unit.systemctl('stop', 'chaos.service')
      took.push(`${name} ${inSeconds(performance.now() - begun)}`)
      assert.equal(code, 0, err)
      assert.deepEqual([await unit.show('ActiveState'), await unit.show('Result')], ['inactive', 'success'], name)
      await lab.assertNothingLeftStopped(`stopped in ${name}`)
    }
    t.diagnostic(`systemctl stop: ${took.join(', ')}`)
  })

  test('chaos stop in the host does the same, and says that there is none afterwards', async () => {
    await lab.startUnit()
    await unit.until(phase('soak'), unit.mark)
    const stopped = await host.run('chaos', 'stop', '--state-dir', '/var/lib/chaos-agents')
    assert.equal(stopped.code, 0, stopped.out + stopped.err)
    assert.match(stopped.out, /^stopped chaos daemon \(pid \d+\) in .*\nnothing is left to undo\n$/)
    await lab.assertNothingLeftStopped('after chaos stop')
    assert.equal((await host.run('chaos', 'stop', '--state-dir', '/var/lib/chaos-agents')).code, 1)
    await unit.reset()
  })

  test('a supervisor that is stuck is ended by the watchdog and started anew; its run is undone', async (t) => {
    const from = unit.mark
    await lab.startUnit()
    await unit.until(phase('soak'), from)
    const mark = unit.mark
    const [pid, restarts] = [await unit.pid(), Number(await unit.show('NRestarts'))]
    const begun = performance.now()
    await host.run('kill', '-STOP', String(pid))
    const ready = await unit.until(says('daemon.ready'), mark)
    t.diagnostic(`stuck with WatchdogSec=4: ready again after ${inSeconds(ready.read - begun)}`)
    assert.notEqual(await unit.pid(), pid)
    assert.equal(Number(await unit.show('NRestarts')), restarts + 1)
    assert.match(await host.sh('journalctl -u chaos.service -o cat'), /Watchdog timeout/)
    await lab.assertNothingLeft('after the watchdog')
    await unit.reset()
  })

  test('a daemon that is well is not ended by the watchdog', async () => {
    const restarts = await unit.show('NRestarts')
    await lab.startUnit()
    const pid = await unit.pid()
    await sleep(12_000)
    assert.deepEqual([await unit.pid(), await unit.show('NRestarts')], [pid, restarts])
    await unit.reset()
  })

  test('systemctl reload takes a new configuration, and fails with a wrong one, which changes nothing; so does SIGHUP', async (t) => {
    t.after(() => unit.configure(lab.config()))
    await lab.startUnit()
    const pid = await unit.pid()
    let mark = unit.mark
    unit.configure(lab.config().replace('duration: 2s', 'duration: 3s'))
    const good = await unit.systemctl('reload', 'chaos.service')
    assert.equal(good.code, 0, good.err + (await host.sh('journalctl -u chaos.service -o cat -n 15')))
    await unit.until(says('daemon.reloaded'), mark)
    unit.configure(lab.config('nonsense: 1\n'))
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
    await lab.assertNothingLeftStopped('after reloads')
  })

  test('a wrong configuration fails the unit with 2, and it is not started again', async (t: TestContext) => {
    t.after(() => unit.configure(lab.config()))
    unit.configure(lab.config('nonsense: 1\n'))
    const { code } = await unit.systemctl('start', 'chaos.service')
    assert.notEqual(code, 0)
    await sleep(2_000)
    assert.deepEqual([await unit.show('ActiveState'), await unit.show('ExecMainStatus')], ['failed', '2'])
    assert.match(await host.sh('journalctl -u chaos.service -o cat -n 20'), /chaos\.yaml:\d+:1.*nonsense/)
    await unit.reset()
  })
})
