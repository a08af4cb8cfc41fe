/** Real application processes under `chaos run` and `chaos daemon`: broken in the soak, healthy after it, whoever dies when. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
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
    assert.deepEqual([report.outcome, report.residue, report.steps[0]?.effect?.inEffect], ['completed', [], 2])
    assert.equal(report.steps[0]?.describe, 'answer 503 to calls of pay')
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
      assert.match(recovered.out + recovered.err, /1 of 1 steps undone, residue 0/)
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

  test('an application killed during the run is named in the report, which is clean: exit code 0', async () => {
    const shop = await start('one')
    const run = chaos.start(['run', file({ duration: '4s' }), '--json'])
    await soaking(run)
    await shop.kill()
    const exit = await run.exit
    const { outcome, residue, steps } = reportOf(exit)
    assert.deepEqual([exit.code, outcome, residue, steps[0]?.kept], [0, 'completed', [], 1])
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

  test('an instance that is restarted, and one that joins, get the fault while the run lasts, and all are healthy after it', async () => {
    const first = await start('one')
    const run = chaos.start(['run', file(), '--json'])
    await soaking(run)
    await first.kill()
    const again = await start('one')
    const joined = await start('two')
    for (const shop of [again, joined]) await shop.until((h) => h.pay === 'ChaosError')
    signal(run.child.pid, 'SIGINT')
    const exit = await run.exit
    assert.equal(exit.code, 130)
    for (const shop of [again, joined]) await shop.healthy()
    assert.deepEqual([reportOf(exit).residue, reportOf(exit).steps[0]?.kept], [[], 1])
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
