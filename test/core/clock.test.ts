import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'

test('a sleep ends after its time, not before, and one of no time at once', async () => {
  const begun = systemClock.monotonic()
  await systemClock.sleep(50)
  assert.ok(systemClock.monotonic() - begun >= 50)
  await systemClock.sleep(0)
  await systemClock.sleep(-5)
})

test('an abort ends a sleep with its reason, and one that came before keeps it from beginning', async () => {
  const stop = new AbortController()
  const sleeping = systemClock.sleep(60_000, stop.signal)
  stop.abort(new Error('SIGTERM'))
  await assert.rejects(sleeping, /^Error: SIGTERM$/)
  await assert.rejects(systemClock.sleep(0, stop.signal), /SIGTERM/)
})

test('a sleep of more than 24 days does not end at once', async () => {
  const stop = new AbortController()
  const sleeping = systemClock.sleep(60 * 86_400_000, stop.signal)
  const first = await Promise.race([
    sleeping.then(() => 'over'),
    new Promise((resolve) => setImmediate(() => setImmediate(() => resolve('asleep')))),
  ])
  assert.equal(first, 'asleep')
  stop.abort(new Error('enough'))
  await assert.rejects(sleeping)
})
