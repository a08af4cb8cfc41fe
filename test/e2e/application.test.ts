/** Real application processes under `chaos run` and `chaos daemon`: broken in the soak, healthy after it, whoever dies when. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Report } from '../../src/core/report.ts'
import { applicationClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { FAULTS } from '../fakes/shop.ts'
import { signal } from './chaos.ts'
import type { Chaos } from './chaos.ts'
import { LEASE_MS, reportOf, Shops, soaking } from './shops.ts'

const TOKEN = 'sixteen-characters-canary'

describe('applications', { timeout: 15 * 60_000 }, () => {
  let shops: Shops
  let chaos: Chaos
  beforeEach(() => {
    shops = new Shops()
    chaos = shops.chaos
  })
  afterEach(() => shops.end())
  const start = (name: string, options?: object) => shops.start(name, options)
  const experiment = (more?: object, fault?: (typeof FAULTS)[number]) => shops.experiment(more, fault)
  const file = (more?: object, fault?: (typeof FAULTS)[number]) => shops.file(more, fault)
  const assertNothingLeft = () => shops.assertNothingLeft()

  test('chaos run breaks the named component on every instance for the soak, and nothing is left', async () => {
    const both = [await start('one'), await start('two')]
    const run = chaos.start(['run', file({ duration: '2s' }), '--json'])
    for (const shop of both) await shop.until((h) => h.pay === 'ChaosError' && h.search === 'well' && h.mail === 'well')
    const exit = await run.exit
    assert.equal(exit.code, 0, exit.err)
    for (const shop of both) await shop.healthy()
    const report = reportOf(exit)
    assert.deepEqual([report.outcome, report.residue], ['completed', []])
    assert.deepEqual(
      report.steps.map(({ resource, describe, effect }) => [resource, describe, effect?.inEffect]),
      ['one', 'two'].map((name) => [join(chaos.dir, `${name}.sock/pay`), 'answer 503 to calls of pay', 1]),
    )
    assert.deepEqual(
      report.places?.map(({ steps, residue }) => [steps, residue]),
      [
        [1, 0],
        [1, 0],
      ],
    )
    await assertNothingLeft()
  })

  for (const fault of FAULTS) {
    test(`${fault.skill}: the daemon and its worker killed with kill -9: healthy within the lease, and recovery is clean`, async (t) => {
      const shop = await start('one')
      const config = chaos.config({ experiments: [{ experiment: experiment({}, fault), schedule: '* * * * * *' }] })
      const daemon = chaos.start(['daemon', config, '--json'])
      await soaking(daemon)
      await shop.until((h) => h.pay === fault.shows)
      // It is held for longer than one lease.
      await sleep(LEASE_MS + 500)
      shop.last = undefined
      await shop.until((h) => h.pay === fault.shows)
      shops.signalAll(daemon, 'SIGKILL')
      await daemon.exit
      const took = await shop.healthy()
      t.diagnostic(`${fault.skill}: healthy ${took} ms after kill -9, lease ${LEASE_MS} ms`)
      assert.ok(took < LEASE_MS * 10)
      const recovered = await chaos.run(['recover'])
      assert.equal(recovered.code, 0, recovered.out + recovered.err)
      assert.match(recovered.out + recovered.err, /1 of 1 step undone, residue 0/)
      await assertNothingLeft()
    })
  }

  test('a daemon does the same on its schedule, and the next one recovers what kill -9 left', async () => {
    const shop = await start('one')
    const config = chaos.config({
      experiments: [{ experiment: experiment({ duration: '3m' }), schedule: '* * * * * *' }],
    })
    const daemon = chaos.start(['daemon', config, '--json'])
    await shop.until((h) => h.pay === 'ChaosError')
    shops.signalAll(daemon, 'SIGKILL')
    await daemon.exit
    await shop.healthy()
    const off = chaos.config({ experiments: [{ experiment: experiment(), schedule: '0 0 2 1 1 *' }] })
    const next = chaos.start(['daemon', off, '--json'])
    const over = await next.until((e) => e.type === 'recovery.finished')
    assert.deepEqual(over.type === 'recovery.finished' && [over.clean, over.pending], [1, 0])
    signal(next.child.pid, 'SIGTERM')
    assert.equal((await next.exit).code, 0)
    await assertNothingLeft()
  })

  test('A3: an application that died during the run is named in the report, which is clean, and not completed', async () => {
    const shop = await start('one')
    // Told when it happens: nobody waits until three minutes are over.
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    await shop.kill()
    const exit = await run.exit
    const { outcome, residue, steps } = reportOf(exit)
    assert.deepEqual([exit.code, outcome, residue, steps[0]?.kept], [1, 'failed', [], 1])
    assert.match(steps[0]?.kept_names?.[0] ?? '', /pid \d+, .*one\.sock\) has ended, and its faults with it/)
    await assertNothingLeft()
  })

  test('an application that died together with chaos is no residue for the recovery', async () => {
    const shop = await start('one')
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    shops.signalAll(run, 'SIGKILL')
    await shop.kill()
    await run.exit
    const recovered = await chaos.run(['recover'])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    assert.match(recovered.out + recovered.err, /has ended, and its faults with it/)
    await assertNothingLeft()
  })

  test('an instance that joins gets the fault while the run lasts, and is healthy after it', async () => {
    const first = await start('one')
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    const joined = await start('two')
    for (const shop of [first, joined]) await shop.until((h) => h.pay === 'ChaosError')
    signal(run.child.pid, 'SIGINT')
    const exit = await run.exit
    assert.equal(exit.code, 130)
    for (const shop of [first, joined]) await shop.healthy()
    assert.deepEqual(reportOf(exit).residue, [])
    await assertNothingLeft()
  })

  test('a frozen application is residue until it answers again; then the recovery is clean', async () => {
    const shop = await start('one')
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    await shop.until((h) => h.pay === 'ChaosError')
    signal(shop.child.pid, 'SIGSTOP')
    signal(run.child.pid, 'SIGINT')
    const exit = await run.exit
    assert.equal(exit.code, 4)
    assert.match(reportOf(exit).residue[0]?.error ?? '', /no answer within/)
    signal(shop.child.pid, 'SIGCONT')
    await shop.healthy()
    assert.equal((await chaos.run(['recover'])).code, 0)
    await assertNothingLeft()
  })

  test('of three instances the frozen one is residue alone: the others are undone while it is waited for', async (t) => {
    const [one, frozen, three] = [await start('one'), await start('two'), await start('three')]
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    for (const shop of [one, frozen, three]) await shop.until((h) => h.pay === 'ChaosError')
    signal(frozen.child.pid, 'SIGSTOP')
    const undone = new Map<string, number>()
    let begun = 0
    void run.until((event) => {
      if (event.type === 'run.phase' && event.phase === 'quiesce') begun = performance.now()
      if (event.type === 'step.reverted') undone.set(event.step.resource, performance.now() - begun)
      return event.type === 'run.finished'
    })
    signal(run.child.pid, 'SIGINT')
    for (const shop of [one, three]) await shop.healthy()
    assert.equal(run.child.exitCode, null, 'the frozen one is not waited for')
    const exit = await run.exit
    const report = reportOf(exit)
    t.diagnostic(
      `undone after ${[...undone.values()].map(Math.round).join(' and ')} ms, residue ${report.residue.length}`,
    )
    assert.deepEqual(
      [exit.code, report.residue.map(({ resource }) => resource), undone.size],
      [4, [join(chaos.dir, 'two.sock/pay')], 2],
    )
    signal(frozen.child.pid, 'SIGCONT')
    await frozen.healthy()
    assert.equal((await chaos.run(['recover'])).code, 0)
    await assertNothingLeft()
  })

  test('chaos sweep tells how old a lease is, and ends none: a mark does not show whose it is', async () => {
    const shop = await start('one')
    assert.equal((await chaos.run(['run', file({ duration: '1s' })])).code, 0)
    const install = readFileSync(join(chaos.state, 'install'), 'utf8').trim()
    const client = applicationClient(config.parse({ app: 'shop', socket: join(chaos.dir, '*.sock') }))
    const faults = [{ fault_type: 'error', error_code: 503 } as const]
    const grant = { mark: `chaos-${install}-oldrun-1`, faults, components: ['pay'], lease_ms: 300_000 }
    await client.grant(join(chaos.dir, 'one.sock'), grant, AbortSignal.timeout(10_000))
    const sweep = async (...options: string[]) => {
      const { code, out, err } = await chaos.run(['sweep', file(), '--json', ...options])
      const { found } = JSON.parse(out || err) as { found: { run: string; age_ms: number; removed: boolean }[] }
      return { code, found }
    }
    await sleep(2_000)
    const listed = await sweep()
    assert.equal(listed.code, 4)
    assert.equal(listed.found.length, 1)
    const { run, age_ms: age } = listed.found[0]!
    assert.equal(run, 'oldrun')
    assert.ok(age >= 2_000 && age < 300_000, String(age))
    const young = await sweep('--remove', '--older-than', '5m')
    assert.deepEqual([young.code, young.found[0]?.removed], [4, false])
    await shop.next((h) => h.pay === 'ChaosError')
    const old = await sweep('--remove', '--older-than', '2s')
    assert.deepEqual([old.code, old.found[0]?.removed], [4, false])
    await shop.next((h) => h.pay === 'ChaosError')
    await client.end(join(chaos.dir, 'one.sock'), { mark: grant.mark }, AbortSignal.timeout(10_000))
    await shop.healthy()
    assert.deepEqual((await sweep()).found, [])
  })

  test('what was called and what fired is told while the run ends, in its report and by chaos report', async () => {
    await start('one')
    const exit = await chaos.run(['run', file({ duration: '1s' })])
    assert.equal(exit.code, 0, exit.err)
    const met = /undone: app\.error answer 503 to calls of pay.*, ([\d,]+) calls?, ([\d,]+) faults? fired/
    assert.match(exit.out + exit.err, met)
    const { steps } = JSON.parse((await chaos.run(['report', '--last', '--json'])).out) as Report
    const { calls = 0, fired, missing } = steps[0]!.observed!
    assert.ok(calls > 0 && fired > 0 && fired <= calls && missing === 0, JSON.stringify(steps[0]))
    assert.match(
      (await chaos.run(['report', '--last'])).out,
      /in effect, [\d,]+ calls?, [\d,]+ faults? fired, applied in/,
    )
  })

  test('a run whose fault no call has met is ineffective, exit code 1, and says whether there were calls', async () => {
    await start('one')
    const attempt = async (params: object): Promise<Report> => {
      const skills = [{ skill_name: 'app.error', params: { error_code: 503, components: ['pay'], ...params } }]
      const exit = await chaos.run(['run', file({ duration: '1s', skills }), '--json'])
      assert.equal(exit.code, 1, exit.err)
      return reportOf(exit)
    }
    const called = await attempt({ after_calls: 1_000_000 })
    assert.equal(called.outcome, 'ineffective')
    assert.match(called.reason ?? '', /^nobody met the fault: pay: [\d,]+ calls?, no fault fired$/)
    assert.deepEqual([called.residue, called.steps[0]?.effect?.inEffect], [[], 1])
    const idle = await attempt({ components: ['never'] })
    assert.equal(idle.reason, 'nobody met the fault: never: not called, no fault fired')
    await assertNothingLeft()
  })

  test('over http: a wrong token, another name and an application that is not there change nothing, and say why', async () => {
    const shop = await start('one', { http: { port: 0, token: TOKEN } })
    const http = shop.last!.address
    const attempt = (target_config: object) => chaos.run(['run', file({ target_config, duration: '1s' })])
    const wrong = await attempt({ app: 'shop', http, token: 'another-canary-of-16' })
    assert.equal(wrong.code, 1)
    assert.match(wrong.out + wrong.err, /token is not that of the application/)
    assert.doesNotMatch(wrong.out + wrong.err, /canary/)
    const stranger = await attempt({ app: 'bakery', http, token: TOKEN })
    assert.equal(stranger.code, 2)
    assert.match(stranger.out + stranger.err, /another answers: .*it is "shop"/)
    const nobody = await attempt({ app: 'shop', socket: join(chaos.dir, 'nobody.sock') })
    assert.equal(nobody.code, 1)
    assert.match(nobody.out + nobody.err, /does not listen: .*connectChaos/)
    const production = await attempt({ app: 'shop-prod', http, token: TOKEN })
    assert.equal(production.code, 3)
    await shop.healthy()
    assert.equal((await attempt({ app: 'shop', http, token: TOKEN })).code, 0)
    await shop.healthy()
    await assertNothingLeft()
  })
})
