/** Pace: planned steps go in the soak, one after the other, and what is held is held until its end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Experiment } from '../../src/core/experiment.ts'
import type { EventBody } from '../../src/core/events.ts'
import { releases } from '../../src/engine/pace.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { makeRig } from './helpers.ts'
import type { Rig } from './helpers.ts'

const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const write = (keys: string[], more: object = {}) => ({ params: { keys }, ...more })
const hold = (keys: string[], more: object = {}) => ({
  skill_name: 'fake.hold',
  params: { keys, apply_ms: 60_000 },
  ...more,
})

/** When each step of a plan goes, by its resource; those that are not named go before the soak. */
async function planned(t: TestContext, skills: object[], more: Partial<Experiment> = {}, world = new FakeWorld()) {
  const rig = await makeRig(t, world)
  const { steps } = await rig.plan(fakeExperiment(skills, { duration_ms: 60_000, ...more }))
  return Object.fromEntries([...releases(steps, 60_000)].map(([{ resource }, ms]) => [resource, ms]))
}

/** The run, and when each step began, while the clock goes on in tenths of a second. */
async function paced(rig: Rig, skills: object[], more: Partial<Experiment> = {}) {
  const began: Record<string, number> = {}
  let soak = 0
  let done = false
  const emit = (event: EventBody): void => {
    rig.events.push(event)
    if (event.type === 'run.phase' && event.phase === 'soak') soak = rig.clock.monotonic()
    if (event.type === 'step.applying') began[event.step.resource] = rig.clock.monotonic() - soak
  }
  const running = rig
    .run(fakeExperiment(skills, { duration_ms: 4_000, ...more }), { emit })
    .finally(() => (done = true))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  while (!done) {
    // Real time for what is done with real files.
    await new Promise((resolve) => setTimeout(resolve, 5))
    rig.clock.advance(100)
  }
  return { report: await running, began }
}

test('at a rate, by a ramp, or spread: when each step goes is known before anything is applied', async (t) => {
  const four = ['a', 'b', 'c', 'd']
  const at = (...ms: number[]) => Object.fromEntries(four.map((key, i) => [`db.${key}`, ms[i]!]))
  assert.deepEqual(await planned(t, [write(four)]), {})
  assert.deepEqual(await planned(t, [write(four, { pace: 'at_once' })], { pace: 'spread' }), {})
  assert.deepEqual(await planned(t, [write(four)], { pace: { every_ms: 100 } }), at(0, 100, 200, 300))
  assert.deepEqual(await planned(t, [write(four)], { pace: { ramp_ms: 20_000 } }), at(0, 5_000, 10_000, 15_000))
  assert.deepEqual(await planned(t, [write(four)], { pace: 'spread' }), at(0, 15_000, 30_000, 45_000))
  assert.deepEqual(await planned(t, [write(four, { spread: true })]), at(0, 15_000, 30_000, 45_000))
})

test('an entry with a pace of its own has it alone; the pace of the experiment is for all others together', async (t) => {
  const skills = [write(['a', 'b'], { pace: { every_ms: 10_000 } }), write(['c']), write(['d'])]
  assert.deepEqual(await planned(t, skills, { pace: { every_ms: 1_000 } }), {
    'db.a': 0,
    'db.b': 10_000,
    'db.c': 0,
    'db.d': 1_000,
  })
})

test('whatever their paces, data goes before settings and settings before what is held', async (t) => {
  const skills = [
    hold(['a'], { pace: { every_ms: 1_000 } }),
    { skill_name: 'fake.set', params: { keys: ['b'] }, pace: { every_ms: 2_000 } },
    write(['c', 'd'], { pace: 'spread' }),
  ]
  assert.deepEqual(await planned(t, skills), { 'db.c': 0, 'db.d': 30_000, 'db.b': 30_000, 'db.a': 30_000 })
})

test('a pace that is slower than the soak is long is refused in plan, with what to write', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const slow = fakeExperiment([write(['a', 'b', 'c'])], { duration_ms: 60_000, pace: { every_ms: 60_000 } })
  await assert.rejects(rig.plan(slow), (error: Error) => {
    assert.match(error.message, /^3 steps at pace 1\/m take longer than the duration, 1m: .* write a faster pace/)
    return true
  })
  assert.deepEqual(rig.world.state, CLEAN)
})

test('steps go at their rate, each is held until the soak is over, and its fail-safe lasts for longer than that', async (t) => {
  const world = new FakeWorld()
  const armed: [number, number][] = []
  const rig = await makeRig(t, world)
  for (const key of ['a', 'b', 'c'])
    world.on(`apply ${key}`, ({ go, heldMs }) => {
      armed.push([rig.clock.monotonic(), heldMs])
      return go()
    })
  const { report, began } = await paced(rig, [hold(['a', 'b', 'c'], { pace: { every_ms: 1_000 } })])
  assert.deepEqual([report.outcome, report.residue], ['completed', []], report.reason)
  assert.deepEqual(began, { 'db.a': 0, 'db.b': 1_000, 'db.c': 2_000 })
  const end = rig.clock.monotonic()
  for (const [at, ms] of armed) assert.ok(at + ms >= end, `armed for ${ms} ms at ${at}, held until ${end}`)
  assert.deepEqual(
    report.steps.map(({ at_end }) => at_end?.inEffect),
    [1, 1, 1],
  )
})

test('an abort ends the wait for the next step at once, and undoes those that went', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const running = rig.run(fakeExperiment([write(['a', 'b'])], { duration_ms: 60_000, pace: { every_ms: 30_000 } }))
  await rig.clock.untilSleeping(30_000)
  rig.abort()
  const report = await running
  assert.deepEqual([report.outcome, report.steps.map((s) => s.state)], ['aborted', ['reverted']])
  assert.deepEqual(rig.world.state, CLEAN)
})

test('a step that fails in the soak ends its place; another place goes on at its pace', async (t) => {
  const world = new FakeWorld({ 'p:a': '1', 'p:b': '1', 'q:a': '1', 'q:b': '1' })
  world.places = ['p', 'q']
  world.on('p apply a', () => Promise.reject(new Error('no')))
  const rig = await makeRig(t, world)
  const { report, began } = await paced(rig, [write(['a', 'b'], { pace: 'spread' })])
  assert.deepEqual([report.outcome, report.residue], ['failed', []])
  assert.deepEqual(Object.keys(began).sort(), ['p/db.a', 'q/db.a', 'q/db.b'])
  assert.deepEqual(world.state, { 'p:a': '1', 'p:b': '1', 'q:a': '1', 'q:b': '1' })
})

test('side by side, invocations go at their pace, and one that takes long holds up no other', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('apply a', async ({ go, signal }) => {
    await rig.clock.sleep(2_500, signal)
    await go()
  })
  const each = ['a', 'b', 'c'].map((key) => write([key]))
  const more = { parallel: true, pace: { every_ms: 1_000 } }
  const { report, began } = await paced(rig, each, more)
  assert.deepEqual([report.outcome, began], ['completed', { 'db.a': 0, 'db.b': 1_000, 'db.c': 2_000 }])
})

test('side by side, a step that fails ends the wait of the others for their turn', async (t) => {
  const world = new FakeWorld()
  world.on('apply a', () => Promise.reject(new Error('no')))
  const rig = await makeRig(t, world)
  const each = ['a', 'b', 'c'].map((key) => write([key]))
  const more = { parallel: true, pace: { every_ms: 20_000 }, duration_ms: 60_000 }
  const start = rig.clock.monotonic()
  const { report, began } = await paced(rig, each, more)
  assert.deepEqual([report.outcome, Object.keys(began)], ['failed', ['db.a']])
  assert.ok(rig.clock.monotonic() - start < 20_000, 'before the next one was due')
  assert.deepEqual(world.state, CLEAN)
})
