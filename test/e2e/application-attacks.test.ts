/** Applications and chaos attacked from outside while a fault is in place: cut off, blocked, frozen, clocks set, names used twice. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChaosEvent } from '../../src/core/events.ts'
import { isWell } from '../fakes/shop.ts'
import type { ShopProcess } from '../fakes/shop.ts'
import { signal } from './chaos.ts'
import type { Chaos } from './chaos.ts'
import { LEASE_MS, reportOf, Shops, soaking } from './shops.ts'

/** A lease, and what a busy machine may add. */
const OVER_MS = LEASE_MS + 2_000

describe('applications attacked', { timeout: 20 * 60_000 }, () => {
  let shops: Shops
  let chaos: Chaos
  beforeEach(() => {
    shops = new Shops()
    chaos = shops.chaos
  })
  afterEach(() => shops.end())
  const isBroken = (shop: ShopProcess) => shop.next((h) => h.pay === 'ChaosError')
  const runOf = (event: ChaosEvent): string => ('run' in event ? event.run : '')
  /** For longer than a lease no call meets a fault. */
  const staysHealthy = async (shop: ShopProcess): Promise<void> => {
    for (const end = performance.now() + OVER_MS; performance.now() < end;) assert.ok(isWell(await shop.next()))
  }

  test('a socket that is taken away and comes back: over by the lease, which is told and ends the run, and undone', async (t) => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    const [path, away] = [join(chaos.dir, 'one.sock'), join(chaos.dir, 'away')]
    renameSync(path, away)
    const took = await shop.healthy()
    t.diagnostic(`healthy ${took} ms after the cut, lease ${LEASE_MS} ms`)
    assert.ok(took < LEASE_MS * 10)
    await run.until((event) => event.type === 'step.failed')
    renameSync(away, path)
    const exit = await run.exit
    assert.equal(exit.code, 1)
    assert.match(reportOf(exit).reason ?? '', /cannot be asked.*, and its lease of 3s has run out/)
    await staysHealthy(shop)
    const [step] = reportOf(exit).steps
    assert.deepEqual([step?.state, step?.kept], ['reverted', undefined])
    await shops.assertNothingLeft()
  })

  test('a socket that is away at the undo is residue, although its faults are over; back again the recovery is clean', async () => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    const [path, away] = [join(chaos.dir, 'one.sock'), join(chaos.dir, 'away')]
    renameSync(path, away)
    signal(run.child.pid, 'SIGINT')
    const exit = await run.exit
    assert.equal(exit.code, 4)
    assert.match(reportOf(exit).residue[0]?.error ?? '', /one\.sock\) cannot be asked/)
    await shop.healthy()
    renameSync(away, path)
    const recovered = await chaos.run(['recover'])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    await shop.healthy()
    await shops.assertNothingLeft()
  })

  test('an event loop blocked for longer than the lease: that is told, ends the run, and is undone', async () => {
    const shop = await shops.start('one', { block_ms: LEASE_MS * 2 })
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    signal(shop.child.pid, 'SIGUSR2')
    const exit = await run.exit
    assert.deepEqual([exit.code, reportOf(exit).outcome, reportOf(exit).residue], [1, 'failed', []])
    assert.match(reportOf(exit).reason ?? '', /^step 1 .*it ended by itself after/)
    await staysHealthy(shop)
    await shops.assertNothingLeft()
  })

  test('an event loop that is blocked when the undo begins is waited for: nothing of the run lands afterwards', async () => {
    const shop = await shops.start('one', { block_ms: LEASE_MS * 2 })
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    signal(shop.child.pid, 'SIGUSR2')
    // Time for renewals that the application will read when it goes on.
    await sleep(LEASE_MS / 2)
    signal(run.child.pid, 'SIGINT')
    const exit = await run.exit
    assert.deepEqual([exit.code, reportOf(exit).residue], [130, []])
    await staysHealthy(shop)
    await shops.assertNothingLeft()
  })

  test('an application whose clock is set by a year keeps its fault while it is renewed, and loses it by the lease', async () => {
    const all = [
      await shops.start('one', { jump_ms: 365 * 86_400_000 }),
      await shops.start('two', { jump_ms: -365 * 86_400_000 }),
    ]
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    for (const shop of all) signal(shop.child.pid, 'SIGWINCH')
    await sleep(OVER_MS)
    for (const shop of all) await isBroken(shop)
    shops.signalAll(run, 'SIGKILL')
    await run.exit
    for (const shop of all) assert.ok((await shop.healthy()) < LEASE_MS * 10)
    assert.equal((await chaos.run(['recover'])).code, 0)
    await shops.assertNothingLeft()
  })

  test('chaos frozen until its soak is over: the fault ends by itself, does not come back for a single call, and the run is clean, and not completed', async () => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file({ duration: `${LEASE_MS}ms` }), '--json'])
    await soaking(run)
    await isBroken(shop)
    shops.signalAll(run, 'SIGSTOP')
    await shop.healthy()
    await sleep(OVER_MS)
    const rounds: boolean[] = []
    const watching = (async () => {
      while (run.child.exitCode === null) rounds.push(isWell(await shop.next()))
    })()
    shops.signalAll(run, 'SIGCONT')
    const exit = await run.exit
    await watching
    assert.ok(rounds.length > 0 && rounds.every(Boolean), `${rounds.filter((well) => !well).length} broken rounds`)
    const { outcome, residue, reason } = reportOf(exit)
    assert.deepEqual([exit.code, outcome, residue], [1, 'failed', []])
    assert.match(reason ?? '', /it was no longer in effect when the soak was over/)
    await staysHealthy(shop)
    await shops.assertNothingLeft()
  })

  test('chaos frozen within its soak: over by the lease, told when it goes on, and gone for good', async () => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    shops.signalAll(run, 'SIGSTOP')
    await shop.healthy()
    shops.signalAll(run, 'SIGCONT')
    const exit = await run.exit
    assert.deepEqual([exit.code, reportOf(exit).outcome, reportOf(exit).residue], [1, 'failed', []])
    assert.match(reportOf(exit).reason ?? '', /^step 1 .*it ended by itself after/)
    await staysHealthy(shop)
    await shops.assertNothingLeft()
  })

  test('a frozen worker is killed by its supervisor, and its run recovered: never broken again after the lease', async () => {
    const shop = await shops.start('one')
    const run = chaos.start(['run', shops.file(), '--json'])
    await soaking(run)
    await isBroken(shop)
    for (const { pid } of chaos.holder()?.workers ?? []) signal(pid, 'SIGSTOP')
    await shop.healthy()
    let ended = false
    void run.exit.then(() => (ended = true))
    while (!ended) assert.ok(isWell(await shop.next()))
    const { residue, recovered } = reportOf(await run.exit)
    assert.deepEqual([residue, recovered], [[], true])
    await staysHealthy(shop)
    await shops.assertNothingLeft()
  })

  test('two applications of one name: a run breaks the one that its configuration names, and the other is never touched', async () => {
    mkdirSync(join(chaos.dir, 'other'))
    const mine = await shops.start('one')
    const other = await shops.start('other/one')
    const run = chaos.start(['run', shops.file(), '--json'])
    const begun = await soaking(run)
    await isBroken(mine)
    assert.ok(isWell(await other.next()))
    shops.signalAll(run, 'SIGKILL')
    await run.exit
    // Of the same name, but not where the faults were put: the address that the run was started with counts.
    const elsewhere = chaos.config({ app: 'shop', socket: join(chaos.dir, 'other', '*.sock') })
    const options = ['--run', runOf(begun), '--target-config', elsewhere]
    const recovered = await chaos.run(['recover', ...options])
    assert.equal(recovered.code, 0, recovered.out + recovered.err)
    assert.ok(isWell(await other.next()))
    await mine.healthy()
    await shops.assertNothingLeft()
  })

  test('runs on two applications of one name never overlap, and both are healthy after them', async () => {
    mkdirSync(join(chaos.dir, 'other'))
    const all = [await shops.start('one'), await shops.start('other/one')]
    const target_config = { app: 'shop', socket: join(chaos.dir, 'other', '*.sock') }
    const experiments = [
      { experiment: shops.experiment({ name: 'first', duration: '1s' }), schedule: '* * * * * *' },
      { experiment: shops.experiment({ name: 'second', duration: '1s', target_config }), schedule: '* * * * * *' },
    ]
    const daemon = chaos.start(['daemon', chaos.config({ settings: { max_concurrent: 2 }, experiments }), '--json'])
    const done = new Set<string>()
    let finished = 0
    await daemon.until((event) => {
      if (event.type === 'run.finished' && event.report.outcome === 'completed') {
        finished++
        done.add(event.report.experiment)
      }
      return finished >= 4 && done.size === 2
    })
    signal(daemon.child.pid, 'SIGTERM')
    const exit = await daemon.exit
    assert.equal(exit.code, 0)
    const held = new Set<string>()
    for (const line of exit.out.split('\n').filter((text) => text.startsWith('{"'))) {
      const { type, run } = JSON.parse(line) as { type: string; run: string }
      if (type === 'step.applying') held.add(run)
      if (type === 'run.finished') held.delete(run)
      assert.ok(held.size <= 1, `${[...held].join(' and ')} at once`)
    }
    for (const shop of all) await shop.healthy()
    await shops.assertNothingLeft()
  })
})
