import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots, SlotsFullError } from '../../src/daemon/turns.ts'

/** A signal of each one's own. */
const never = (): AbortSignal => new AbortController().signal
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('no more than max are given out at once, and who waits gets one in the order of asking', async () => {
  const slots = new Slots(2, 16)
  const got: number[] = []
  const give: (() => void)[] = []
  const asked = [0, 1, 2, 3, 4].map(async (n) => {
    give.push(await slots.take(never()))
    got.push(n)
  })
  await turn()
  assert.deepEqual([got, slots.free], [[0, 1], false])
  for (const expected of [
    [0, 1, 2],
    [0, 1, 2, 3],
    [0, 1, 2, 3, 4],
  ]) {
    give.shift()?.()
    await turn()
    assert.deepEqual(got, expected)
  }
  await Promise.all(asked)
  for (const release of give) release()
  assert.equal(slots.free, true)
})

test('a slot that is given back twice is given back once', async () => {
  const slots = new Slots(1, 16)
  const give = await slots.take(never())
  give()
  give()
  await slots.take(never())
  assert.equal(slots.free, false)
})

test('the queue is bounded: one more is refused at once', async () => {
  const slots = new Slots(1, 16)
  const give = await slots.take(never())
  const waiting = Array.from({ length: 16 }, () => slots.take(never()))
  await assert.rejects(slots.take(never()), SlotsFullError)
  give()
  ;(await waiting[0]!)()
})

test('who stops waiting is passed over, and the slot goes to the next', async () => {
  const slots = new Slots(1, 16)
  const give = await slots.take(never())
  const stop = new AbortController()
  const first = slots.take(stop.signal)
  const second = slots.take(never())
  stop.abort(new Error('it waited too long'))
  await assert.rejects(first, /it waited too long/)
  give()
  await second
  assert.equal(slots.free, false)
})

test('who has stopped before asking does not wait', async () => {
  const slots = new Slots(1, 16)
  const give = await slots.take(never())
  await assert.rejects(slots.take(AbortSignal.abort(new Error('stopped'))), /stopped/)
  give()
  assert.equal(slots.free, true)
})
