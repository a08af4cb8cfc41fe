import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../src/core/clock.ts'
import { systemClock } from '../../src/core/clock.ts'
import { until } from '../../src/core/until.ts'

/** Time passes only while somebody sleeps. */
function instant(): { clock: Clock; slept: number[] } {
  let now = 0
  const slept: number[] = []
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted()
    now += ms
    slept.push(ms)
    return Promise.resolve()
  }
  return { clock: { now: () => now, monotonic: () => now, sleep }, slept }
}

test('the first answer is the result, and the pauses before it double up to the longest', async () => {
  const { clock, slept } = instant()
  let asked = 0
  const answer = await until(() => (++asked < 7 ? undefined : 'there'), { clock, pauses: [10, 80] })
  assert.equal(answer, 'there')
  assert.deepEqual(slept, [10, 20, 40, 80, 80, 80])
})

test('when the time is over it has asked once more, at the end of it', async () => {
  const { clock, slept } = instant()
  let asked = 0
  assert.equal(await until(() => (++asked, false), { clock, ms: 100, pauses: [40, 40] }), undefined)
  assert.deepEqual([asked, slept], [4, [40, 40, 20]])
})

test('without time it asks once', async () => {
  const { clock, slept } = instant()
  assert.equal(await until(() => Promise.resolve('now'), { clock, ms: 0 }), 'now')
  assert.equal(await until(() => Promise.resolve(false), { clock, ms: 0 }), undefined)
  assert.deepEqual(slept, [])
})

test('an abort ends a pause at once, and what the question throws ends it too', async () => {
  const over = new AbortController()
  const waiting = until(() => false, { clock: systemClock, signal: over.signal, pauses: [60_000, 60_000] })
  over.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  const fails = (): Promise<false> => Promise.reject(new Error('no'))
  await assert.rejects(until(fails, { clock: systemClock }), /no/)
})
