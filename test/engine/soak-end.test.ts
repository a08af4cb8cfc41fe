/** The end of the soak: settings and held things are read once more, and what did not last is told; it never holds up an undo. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { makeRig } from './helpers.ts'
import type { Rig } from './helpers.ts'
import type { Report } from '../../src/core/report.ts'

const hold = (...keys: string[]) => ({ skill_name: 'fake.hold', params: { keys } })
const set = (...keys: string[]) => ({ skill_name: 'fake.set', params: { keys } })
const write = (...keys: string[]) => ({ params: { keys } })
const UNTOUCHED = { a: '1', b: '2', c: '3', d: '4' }

/** A run whose soak is a minute of the fake clock; `meanwhile` happens in it. */
async function soak(
  t: TestContext,
  world: FakeWorld,
  skills: object[],
  meanwhile: (rig: Rig) => void,
): Promise<{ report: Report; rig: Rig }> {
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment(skills, { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  meanwhile(rig)
  rig.clock.advance(60_000)
  return { report: await running, rig }
}
const warnings = (rig: Rig): string[] => rig.events.flatMap((e) => (e.type === 'run.warning' ? [e.message] : []))

test('issue 11: somebody puts a setting back in the soak: it is told, the run is not completed, and what others wrote is kept', async (t) => {
  const world = new FakeWorld()
  const { report, rig } = await soak(t, world, [set('a', 'b'), hold('c')], () => void world.values.set('a', 'theirs'))
  assert.deepEqual([report.outcome, report.code, report.exit_code], ['failed', 'STEP_FAILED', 1])
  assert.equal(
    report.reason,
    'step 1 (fake.set a) failed: it was no longer in effect when the soak was over: 1 changed by others (a)',
  )
  assert.deepEqual(
    report.steps.map(({ state, kept, at_end }) => [state, kept, at_end?.inEffect, at_end?.foreign]),
    [
      ['reverted', 1, 0, 1],
      ['reverted', undefined, 1, 0],
      ['reverted', undefined, 1, 0],
    ],
  )
  assert.match(report.steps[0]?.error ?? '', /no longer in effect/)
  assert.ok(rig.told().indexOf('step.failed db.a') < rig.told().indexOf('rollback'))
  assert.deepEqual(world.state, { ...UNTOUCHED, a: 'theirs' })
})

test('a run in which everything lasts is completed, and its report says what was read', async (t) => {
  const world = new FakeWorld()
  const { report, rig } = await soak(t, world, [write('d'), set('a'), hold('b')], () => undefined)
  assert.deepEqual([report.outcome, report.exit_code, warnings(rig)], ['completed', 0, []])
  assert.deepEqual(
    report.steps.map(({ at_end }) => at_end?.inEffect),
    [undefined, 1, 1],
    'rows are not asked about',
  )
})

test('rows that the application changes in the soak do not fail a run: they are kept', async (t) => {
  const world = new FakeWorld()
  const { report } = await soak(t, world, [write('a', 'b')], () => void world.values.set('a', 'theirs'))
  assert.deepEqual([report.outcome, report.steps[0]?.kept], ['completed', 1])
})

test('only a part of a fault is left: it is told how much', async (t) => {
  const world = new FakeWorld()
  let n = 0
  world.on('inspect a', () => Promise.resolve({ inEffect: [3, 2, 0][n++] ?? 0, restored: 1, foreign: 0 }))
  const { report } = await soak(t, world, [set('a')], () => undefined)
  assert.match(report.reason ?? '', /it was in effect for 2 of 3 only when the soak was over$/)
})

test('a target that cannot be read at the end of the soak fails no run: that is a warning', async (t) => {
  const world = new FakeWorld()
  let n = 0
  world.on('inspect a', ({ go }) => (++n === 2 ? Promise.reject(new Error('the connection is gone')) : go()))
  const { report, rig } = await soak(t, world, [set('a'), hold('b')], () => undefined)
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['completed', 0, []])
  assert.deepEqual(warnings(rig), [
    'whether 1 step lasted until the soak was over could not be read: step 1: the connection is gone',
  ])
  assert.deepEqual(
    report.steps.map(({ at_end }) => at_end?.inEffect),
    [undefined, 1],
  )
})

test('a target that does not answer at the end of the soak delays the undo by 3 s and no more, however many steps there are', async (t) => {
  const world = new FakeWorld(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`k${i}`, ''])))
  const rig = await makeRig(t, world)
  let asked = 0
  for (const key of world.values.keys()) {
    world.on(`inspect ${key}`, async ({ go }) => {
      if (!rig.told().includes('soak') || rig.told().includes('rollback')) return go()
      asked++
      return new Promise(() => undefined)
    })
  }
  const before = world.state
  const running = rig.run(fakeExperiment([set(...Object.keys(before))], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  rig.clock.advance(60_000)
  await until(() => asked === 8, 'it is asked, 8 side by side')
  const begun = rig.clock.monotonic()
  rig.clock.advance(3_000)
  const report = await running
  assert.equal(rig.clock.monotonic() - begun, 3_000)
  assert.deepEqual([report.outcome, report.residue, asked], ['completed', [], 8])
  assert.match(warnings(rig)[0] ?? '', /^whether 30 steps lasted .*: step 1: no answer within 3 s; .*; and 27 more$/)
  assert.deepEqual(world.state, before)
})

test('a run that is aborted while it looks goes on to its undo at once', async (t) => {
  const world = new FakeWorld()
  let n = 0
  world.on('inspect a', ({ go }) => (++n === 2 ? new Promise(() => undefined) : go()))
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([hold('a')], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  rig.clock.advance(60_000)
  await until(() => n === 2, 'it is asked')
  rig.abort()
  const report = await running
  assert.deepEqual([report.residue, world.state], [[], UNTOUCHED])
  assert.deepEqual(warnings(rig), [])
})

test('a run that is aborted in its soak, or fails, is not asked', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([hold('a')], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  rig.abort()
  assert.equal((await running).outcome, 'aborted')
  assert.equal(world.log.filter((call) => call === 'inspect a').length, 2)
})

test('what was read when the soak was over is in the report of a run that a recovery ended', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const { report, rig } = await soak(t, world, [set('a'), hold('b')], () => void world.values.set('a', 'theirs'))
  assert.equal(report.exit_code, 4)
  world.off('revert b')
  const recovered = await rig.recover()
  assert.deepEqual(
    recovered.steps.map(({ effect, at_end }) => [effect?.inEffect, at_end?.inEffect]),
    [
      [1, 0],
      [1, 1],
    ],
  )
  assert.deepEqual([recovered.recovered, recovered.residue], [true, []])
})
