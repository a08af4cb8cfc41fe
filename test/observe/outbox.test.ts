/** Delivery in the background, with a clock that the test turns. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { test } from 'node:test'
import type { Notification } from '../../src/core/notify.ts'
import type { Attempt } from '../../src/observe/delivery.ts'
import { Outbox } from '../../src/observe/outbox.ts'
import { FakeClock, until } from '../fakes/clock.ts'
import { note } from './notifications.ts'

function box(answers: (n: Notification) => Attempt | Promise<Attempt>) {
  const clock = new FakeClock()
  const tried: string[] = []
  const lost: string[] = []
  const outbox = new Outbox({
    clock,
    random: () => 0.5,
    deliver: (n) => {
      tried.push(n.id)
      return Promise.resolve(answers(n))
    },
    lost: (n, reason) => void lost.push(`${n.id}: ${reason}`),
  })
  return { clock, tried, lost, outbox }
}

const ok: Attempt = { delivered: true }
const down: Attempt = { delivered: false, final: false, reason: 'down' }

test('a receiver that is down is tried eight times over ten minutes, each pause twice the one before, then given up', async () => {
  const { clock, tried, lost, outbox } = box(() => down)
  outbox.push(note({ id: 'a' }))
  assert.deepEqual(tried, [], 'push returns before anything is tried')
  for (const s of [5, 10, 20, 40, 80, 160, 320]) {
    await clock.untilSleeping(s * 1_000)
    assert.equal(outbox.counts.waiting, 1)
    clock.advance(s * 1_000)
  }
  await until(() => outbox.counts.failed === 1, 'it is given up')
  assert.equal(tried.length, 8)
  assert.deepEqual(lost, ['a: down, 8 times'])
  assert.deepEqual(outbox.counts, { delivered: 0, failed: 1, dropped: 0, waiting: 0 })
})

test('what waited is delivered in its order once the receiver is back', async () => {
  let up = false
  const { clock, tried, outbox } = box(() => (up ? ok : down))
  for (const id of ['a', 'b', 'c']) outbox.push(note({ id }))
  await clock.untilSleeping(5_000)
  up = true
  clock.advance(5_000)
  await until(() => outbox.counts.delivered === 3, 'all are delivered')
  assert.deepEqual(tried, ['a', 'a', 'b', 'c'])
  outbox.push(note({ id: 'd' }))
  await until(() => outbox.counts.delivered === 4, 'a later one starts the work anew')
})

test('Retry-After is respected where it asks for more patience, but not for more than ten minutes', async () => {
  let retryAfterMs = 60_000
  const { clock, outbox } = box(() => ({ ...down, retryAfterMs }))
  outbox.push(note())
  await clock.untilSleeping(60_000)
  retryAfterMs = 10 * 3_600_000
  clock.advance(60_000)
  await clock.untilSleeping(600_000)
  retryAfterMs = 1
  clock.advance(600_000)
  await clock.untilSleeping(20_000)
  await outbox.close(0)
})

test('what a receiver does not want is not sent again', async () => {
  const { tried, lost, outbox } = box(() => ({ delivered: false, final: true, reason: 'it answers 400' }))
  outbox.push(note({ id: 'a' }))
  await until(() => outbox.counts.failed === 1, 'it is given up')
  assert.equal(tried.length, 1)
  assert.deepEqual(lost, ['a: it answers 400'])
})

test('a delivery that throws is a failed one', async () => {
  const { clock, outbox } = box(() => Promise.reject(new Error('a bug')))
  outbox.push(note())
  await clock.untilSleeping(5_000)
  await outbox.close(0)
  assert.equal(outbox.counts.dropped, 1)
})

test('of more than 200 that wait the oldest that is no residue is dropped, told and counted', async () => {
  const never = new Promise<Attempt>(() => undefined)
  const { lost, outbox } = box(() => never)
  outbox.push(note({ id: 'current' }))
  await setImmediate()
  for (let i = 0; i < 100; i++) outbox.push(note({ id: `residue-${i}`, kind: 'residue' }))
  for (let i = 0; i < 102; i++) outbox.push(note({ id: `failed-${i}` }))
  assert.deepEqual(lost, ['failed-0: more than 200 wait', 'failed-1: more than 200 wait'])
  for (let i = 100; i < 201; i++) outbox.push(note({ id: `residue-${i}`, kind: 'residue' }))
  assert.equal(lost.at(-1), 'residue-0: more than 200 wait', 'when all are residue, the oldest of them')
  assert.equal(outbox.counts.waiting, 201)
  assert.equal(outbox.counts.dropped, 103)
})

test('closing gives each that waits one more attempt at once, and drops the rest with a word about each', async () => {
  let up = false
  const { clock, tried, lost, outbox } = box((n) => (up && n.id !== 'b' ? ok : down))
  for (const id of ['a', 'b', 'c']) outbox.push(note({ id }))
  await clock.untilSleeping(5_000)
  up = true
  await outbox.close(5_000)
  assert.deepEqual(tried, ['a', 'a', 'b', 'c'])
  assert.deepEqual(lost, ['b: the program is ending: down'])
  outbox.push(note({ id: 'd' }))
  assert.deepEqual(outbox.counts, { delivered: 2, failed: 0, dropped: 2, waiting: 0 })
})

test('closing waits for a receiver that does not answer until its deadline, and no longer', async () => {
  const clock = new FakeClock()
  const lost: string[] = []
  const outbox = new Outbox({
    clock,
    random: () => 0,
    deliver: (_, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve({ ...down, reason: 'cut off' }))),
    lost: (n) => void lost.push(n.id),
  })
  for (const id of ['a', 'b']) outbox.push(note({ id }))
  await setImmediate()
  const closed = outbox.close(5_000)
  await clock.untilSleeping(5_000)
  clock.advance(5_000)
  await closed
  assert.deepEqual(lost, ['a', 'b'])
  assert.deepEqual(outbox.counts, { delivered: 0, failed: 0, dropped: 2, waiting: 0 })
})
