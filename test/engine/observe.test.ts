/** What a target counted while a fault was in place: it is in the report, it decides what the run came to, and it never fails an undo. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Observed } from '../../src/core/observed.ts'
import { observedText } from '../../src/core/observed.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { makeRig, recordsIn } from './helpers.ts'

const keys = (...names: string[]) => fakeExperiment([{ params: { keys: names } }])

function counting(observed: FakeWorld['observed']): FakeWorld {
  const world = new FakeWorld()
  world.observed = observed
  return world
}
const counts = (byKey: Record<string, Observed>) =>
  counting(({ key }) => {
    const observed = byKey[key]
    return observed ? Promise.resolve(observed) : Promise.reject(new Error('it is gone'))
  })

test('what was counted is asked for when everything has ended and nothing is undone yet, and stands in events and report', async (t) => {
  const met = { calls: 40, fired: 12, missing: 0 }
  const world = counting(({ key }) => {
    world.log.push(`observe ${key}`)
    return Promise.resolve(met)
  })
  const rig = await makeRig(t, world)
  const report = await rig.run(keys('a'))
  assert.deepEqual(world.log.slice(world.log.lastIndexOf('quiesce')), [
    ...['quiesce', 'observe a', 'revert a', 'inspect a', 'close'],
  ])
  assert.deepEqual([report.outcome, report.exit_code, report.steps[0]?.observed], ['completed', 0, met])
  assert.deepEqual(
    rig.events.flatMap((event) => (event.type === 'step.reverted' ? [event.observed] : [])),
    [met],
  )
})

test('a run whose faults nobody met is ineffective, and says of each step why', async (t) => {
  const world = counts({ a: { calls: 0, fired: 0, missing: 0 }, b: { calls: 7, fired: 0, missing: 0 } })
  const rig = await makeRig(t, world)
  const report = await rig.run(keys('a', 'b'))
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['ineffective', 1, []])
  assert.equal(report.reason, 'nobody met the fault: db.a: not called, no fault fired; db.b: 7 calls, no fault fired')
})

test('A3: an instance that did not live to the end of its fault is no completed run', async (t) => {
  const rig = await makeRig(t, counts({ a: { calls: 3, fired: 3, missing: 1 } }))
  const report = await rig.run(keys('a'))
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
  assert.match(report.reason ?? '', /did not live to its end/)
})

test('one fault that fired, or one step that could not be asked is enough for a completed run', async (t) => {
  const none = { calls: 3, fired: 0, missing: 0 }
  for (const b of [{ calls: 3, fired: 1, missing: 0 }, undefined]) {
    const rig = await makeRig(t, counts({ a: none, ...(b && { b }) }))
    const report = await rig.run(keys('a', 'b'))
    assert.deepEqual([report.outcome, report.exit_code], ['completed', 0], JSON.stringify(b))
    assert.deepEqual([report.steps[0]?.observed, report.steps[1]?.observed], [none, b])
  }
})

test('a target that does not say what it counted is undone all the same, with a warning', async (t) => {
  const rig = await makeRig(t, counts({}))
  const report = await rig.run(keys('a'))
  assert.deepEqual([report.outcome, report.residue, rig.world.state['a']], ['completed', [], '1'])
  assert.deepEqual(
    rig.events.flatMap((event) => (event.type === 'run.warning' ? [event.message] : [])),
    ['what step 1 met is not known: it is gone'],
  )
})

test('a target that never answers costs the undo three seconds, and nothing else', async (t) => {
  let asked: AbortSignal | undefined
  const world = counting(({ signal }) => {
    asked = signal
    return new Promise(() => undefined)
  })
  const rig = await makeRig(t, world)
  const running = rig.run(keys('a'))
  await until(() => asked !== undefined, 'it was not asked')
  await rig.clock.untilSleeping(3_000)
  rig.clock.advance(3_000)
  const report = await running
  assert.deepEqual([report.outcome, report.residue, world.state['a']], ['completed', [], '1'])
  assert.equal(asked?.aborted, true)
})

test('an aborted run stays aborted, whatever was counted', async (t) => {
  const rig = await makeRig(t, counts({ a: { calls: 0, fired: 0, missing: 0 } }))
  rig.world.on('apply a', async ({ go }) => {
    await go()
    rig.abort()
  })
  const report = await rig.run(keys('a'))
  assert.deepEqual([report.outcome, report.steps[0]?.observed?.calls], ['aborted', 0])
})

test('a recovery comes to the same: it asks again, and the end of the run in the journal says ineffective', async (t) => {
  const rig = await makeRig(t, counts({ a: { calls: 0, fired: 0, missing: 0 } }))
  rig.world.on('revert a', () => Promise.reject(new Error('not now')))
  const first = await rig.run(keys('a'))
  assert.deepEqual([first.exit_code, first.outcome], [4, 'completed'])
  rig.world.off('revert a')
  const report = await rig.recover()
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['ineffective', 1, []])
})

test('what was counted is on the disk with the undo, so that a later recovery of the run still reports it', async (t) => {
  const rig = await makeRig(t, counts({ a: { calls: 2, fired: 1, missing: 0 } }))
  // Its undo fails, and keeps the run open.
  rig.world.on('revert b', () => Promise.reject(new Error('not now')))
  await rig.run(fakeExperiment([{ params: { keys: ['b'] } }, { params: { keys: ['a'] } }]))
  const observed = { calls: 2, fired: 1, missing: 0 }
  const reverted = recordsIn(rig.file).flatMap((r) => (r.type === 'step.reverted' ? [r.observed] : []))
  assert.deepEqual(reverted, [observed])
  rig.world.off('revert b')
  const report = await rig.recover()
  assert.deepEqual([report.residue, report.steps.map((s) => s.observed)], [[], [undefined, observed]])
})

test('what was counted is said in words', () => {
  const text = (calls: number | undefined, fired: number, missing: number): string =>
    observedText({ ...(calls === undefined ? {} : { calls }), fired, missing })
  assert.equal(text(4000, 1, 0), '4,000 calls, 1 fault fired')
  assert.equal(text(1, 0, 0), '1 call, no fault fired')
  assert.equal(text(0, 0, 0), 'not called, no fault fired')
  assert.equal(text(undefined, 3, 0), '3 faults fired')
  assert.equal(text(5, 2, 1), '5 calls, 2 faults fired, 1 instance gone with what it counted')
  assert.equal(text(0, 0, 2), '2 instances gone with what it counted')
})
