/** What an application tells of itself while nobody looks for a fault: its instances and their calls. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../src/core/clock.ts'
import { connectBounded } from '../../../src/core/bounded-agent.ts'
import { application } from '../../../src/targets/application/index.ts'
import { FakeApplication } from '../../fakes/application.ts'

test('F5: a sample that never comes is a gap after its deadline, and a target without any has none', async (t) => {
  const { signal } = new AbortController()
  const own = new FakeApplication()
  await own.start('one')
  const config = application.config.parse(own.config)
  const options = { install: 'abcdef', run: 'r1', clock: systemClock, signal }
  const real = await application.connect(config, options)
  const with_ = (more: object) =>
    connectBounded({ connect: () => Promise.resolve({ ...real, ...more }) }, config, options)
  const never = await with_({ sample: () => new Promise(() => undefined) })
  const timer = globalThis.setTimeout
  t.mock.method(globalThis, 'setTimeout', (work: () => void, ms = 0) => timer(work, Math.min(ms, 5)))
  // A deadline keeps no process alive.
  const awake = setInterval(() => undefined, 1_000)
  t.after(() => clearInterval(awake))
  await assert.rejects(never.sample!(signal), /^TargetError: sampling did not end within 10s/)
  assert.equal((await with_({ sample: undefined })).sample, undefined)
  await own.stop()
})

test('calls are totals, instances are what answers now, and an instance that comes begins another epoch', async () => {
  const app = new FakeApplication()
  const { signal } = new AbortController()
  const one = await app.start('one')
  const config = application.config.parse(app.config)
  const agent = await connectBounded(application, config, { install: 'abcdef', run: 'r1', clock: systemClock, signal })
  try {
    const before = await agent.sample!(signal)
    await one.calls()
    const after = await agent.sample!(signal)
    assert.deepEqual(after.gauges, { instances: 1, silent: 0 })
    assert.equal(after.counters['calls']! - before.counters['calls']!, 3)
    assert.equal(after.epoch, before.epoch)
    assert.ok(after.round_trip_ms > 0)
    await app.start('two')
    const joined = await agent.sample!(signal)
    assert.deepEqual(joined.gauges, { instances: 2, silent: 0 })
    assert.notEqual(joined.epoch, before.epoch)
  } finally {
    await app.stop()
  }
  await assert.rejects(agent.sample!(signal), /no instance of shop answers/, 'a gap, and no zeros')
  await agent.close()
})
