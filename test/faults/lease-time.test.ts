/** Leases and time: how old one is, what it counted over a gap, and an application whose clock is set or whose event loop stands still. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LeaseBook } from '../../src/faults/connect/lease-book.ts'
import type { Grant, LeaseView } from '../../src/faults/connect/protocol.ts'
import { Chaos, wrap } from '../../src/faults/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { error503 } from './helpers.ts'

const MARK = 'chaos-inst-run1-1'
/** A busy machine wakes late, never early. */
const PATIENCE_MS = 20_000

let chaos: Chaos
let book: LeaseBook
let search: () => Promise<string>
let pay: () => Promise<string>

beforeEach(() => {
  chaos = new Chaos()
  book = new LeaseBook(chaos, String)
  search = wrap(() => Promise.resolve('found'), { component: 'search', chaos, async: true })
  pay = wrap(() => Promise.resolve('paid'), { component: 'pay', chaos, async: true })
})
afterEach(() => book.endEverything())

const grant = (more: Partial<Grant> = {}): void =>
  void book.grant({ mark: MARK, faults: [error503], components: ['search'], lease_ms: 60_000, ...more })
const only = (): LeaseView => book.leases().leases[0]!
const fails = (call: () => Promise<string>) =>
  call().then(
    () => false,
    () => true,
  )
const standStill = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

async function untilOver(): Promise<number> {
  const begun = performance.now()
  while (only().in_force) {
    assert.ok(performance.now() - begun < PATIENCE_MS, 'it is still in force')
    await sleep(10)
  }
  return performance.now() - begun
}

test('a lease counts the calls of its components from its grant to its end, met by its fault or not', async () => {
  await search()
  const half: FaultConfig = { ...error503, every_nth: 2 }
  grant({ faults: [half] })
  for (let i = 0; i < 4; i++) await fails(search)
  await pay()
  assert.deepEqual([only().calls, only().fired], [4, 2])
  book.end({ mark: MARK })
  await search()
  assert.deepEqual([only().in_force, only().calls, only().fired], [false, 4, 2])
})

test('a lease on everything counts every call, also of what is wrapped later', async () => {
  await pay()
  grant({ components: ['*'] })
  const mail = wrap(() => Promise.resolve('sent'), { component: 'mail', chaos, async: true })
  assert.deepEqual([await fails(search), await fails(pay), await fails(mail)], [true, true, true])
  assert.deepEqual([only().calls, only().fired], [3, 3])
})

test('a lease that has run out and is granted again goes on counting, is listed once, and is as old as it is', async () => {
  grant({ lease_ms: 100 })
  await fails(search)
  await untilOver()
  await search()
  grant()
  await fails(search)
  const { leases } = book.leases()
  assert.equal(leases.length, 1)
  assert.deepEqual([leases[0]?.in_force, leases[0]?.calls, leases[0]?.fired], [true, 2, 2])
  assert.ok((leases[0]?.age_ms ?? 0) >= 100, String(leases[0]?.age_ms))
})

test('setting the clock forward or back ends no lease, lengthens none, and makes none older', async (t) => {
  const { now } = Date
  for (const hours of [24 * 365, -24 * 365]) {
    t.mock.method(Date, 'now', () => now() + hours * 3_600_000)
    const mark = `chaos-inst-run1-${hours > 0 ? 2 : 3}`
    grant({ mark, lease_ms: 400 })
    assert.equal(await fails(search), true, 'right after the clock was set it is in force')
    const lease = book.leases().leases.find((one) => one.mark === mark)
    assert.ok((lease?.age_ms ?? Infinity) < PATIENCE_MS && (lease?.age_ms ?? -1) >= 0, String(lease?.age_ms))
    await untilOver()
    assert.equal(await fails(search), false)
    t.mock.restoreAll()
  }
})

test('an event loop that stands still for longer than the lease finds it over when it goes on', async () => {
  grant({ lease_ms: 200 })
  standStill(600)
  await sleep(0)
  assert.equal(only().in_force, false)
  assert.equal(await fails(search), false)
})

test('a call that hangs when the event loop stands still goes on once the lease is over', async () => {
  grant({ faults: [{ fault_type: 'timeout', duration_ms: 3_600_000 }], lease_ms: 200 })
  const hanging = fails(search)
  standStill(600)
  assert.equal(await hanging, false)
})
