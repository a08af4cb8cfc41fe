/** Held things that end by themselves: the run says so when it happens, and is not completed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import type { Call } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { makeRig } from './helpers.ts'

/** Holds something that ends when `lose` is called. */
function losable(world: FakeWorld, key: string): (why: string) => void {
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  world.on(`apply ${key}`, async ({ go, hold }: Call) => {
    await go()
    hold({ close: () => Promise.resolve(), lost })
  })
  return lose
}

test('D9: what is held ends in the soak: it is told at once, everything is undone, and the run has failed', async (t) => {
  const world = new FakeWorld()
  const lose = losable(world, 'a')
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([{ params: { keys: ['a', 'b'] } }], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  lose('terminating connection due to administrator command')
  const report = await running
  assert.deepEqual([report.outcome, report.code, report.exit_code], ['failed', 'STEP_FAILED', 1])
  assert.match(report.reason ?? '', /^step 1 .* failed: it ended by itself after .*: terminating connection/)
  assert.match(report.steps[0]?.error ?? '', /ended by itself/)
  assert.deepEqual(
    report.steps.map((s) => s.state),
    ['reverted', 'reverted'],
  )
  assert.deepEqual(report.residue, [])
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
  assert.ok(rig.told().includes('step.failed db.a'))
})

test('D9: it ends while a later step is still being applied: nothing further begins', async (t) => {
  const world = new FakeWorld()
  const lose = losable(world, 'a')
  const rig = await makeRig(t, world)
  world.on('apply b', async ({ signal }) => {
    lose('gone')
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  })
  const report = await rig.run(fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }]))
  assert.equal(report.outcome, 'failed')
  assert.match(report.reason ?? '', /^step 1 .*: gone$/)
  assert.ok(!world.log.includes('apply c'))
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('what ends because we close it is no loss', async (t) => {
  const world = new FakeWorld()
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  world.on('apply a', async ({ go, hold }) => {
    await go()
    const close = (): Promise<void> => {
      lose('closed')
      return Promise.resolve()
    }
    hold({ close, lost })
  })
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([{ params: { keys: ['a'] } }], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  rig.clock.advance(24 * 3_600_000)
  const report = await running
  assert.equal(report.outcome, 'completed')
  assert.ok(!rig.told().includes('step.failed db.a'))
})

test('a fail-safe is armed for the applies still to come, the soak and the undo, not for the soak alone', async (t) => {
  const world = new FakeWorld()
  const armed: number[] = []
  for (const key of ['a', 'b', 'c']) {
    world.on(`apply ${key}`, ({ go, heldMs }) => {
      armed.push(heldMs)
      return go()
    })
  }
  const rig = await makeRig(t, world)
  const skills = [['a', 75_000] as const, ['b', 30_000] as const, ['c', 5_000] as const].map(([key, apply_ms]) => ({
    skill_name: 'fake.hold',
    params: { keys: [key], apply_ms },
  }))
  const running = rig.run(fakeExperiment(skills, { duration_ms: 10_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  rig.clock.advance(10_000)
  assert.equal((await running).outcome, 'completed')
  assert.deepEqual(armed, [180_000, 105_000, 75_000])
})

test('an apply that takes longer than its plan said has failed, and is undone', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('apply a', async ({ go }) => {
    await go()
    await new Promise(() => undefined)
  })
  const running = rig.run(fakeExperiment([{ skill_name: 'fake.hold', params: { keys: ['a'], apply_ms: 75_000 } }]))
  await until(() => world.state['a'] !== '1', 'it is applied')
  rig.clock.advance(75_000)
  const report = await running
  assert.deepEqual([report.outcome, report.code], ['failed', 'STEP_FAILED'])
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('the claims of a run are lost in its soak: it ends with the reason, and undoes everything', async (t) => {
  const world = new FakeWorld()
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  world.on('claim one/db/db.a', () => Promise.resolve({ lost }))
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([{ params: { keys: ['a'] } }], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  lose('one/db/db.a is in use by billing now')
  const report = await running
  assert.deepEqual([report.outcome, report.code, report.exit_code, report.residue], ['failed', 'TARGET_FAILED', 1, []])
  assert.equal(report.reason, 'the claims of this run are lost: one/db/db.a is in use by billing now')
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('the claims on one of two places are lost: that place is over, and the other keeps its fault until the soak is over', async (t) => {
  const world = new FakeWorld({ 'p:a': '1', 'q:a': '1' })
  world.places = ['p', 'q']
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  world.on('p claim p/db/db.a', () => Promise.resolve({ lost }))
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([{ params: { keys: ['a'] } }], { duration_ms: 60_000 }))
  await until(() => rig.told().includes('soak'), 'the soak begins')
  lose('somebody else has them now')
  const warned = (): boolean => rig.events.some((e) => e.type === 'run.warning' && /on p are lost/.test(e.message))
  await until(warned, 'it is told at once')
  assert.deepEqual(world.state, { 'p:a': 'chaos by fake.write', 'q:a': 'chaos by fake.write' })
  rig.clock.advance(60_000)
  const report = await running
  assert.deepEqual([report.outcome, report.residue], ['failed', []])
  assert.match(report.reason ?? '', /^the claims of this run on p are lost: somebody else has them now$/)
  assert.deepEqual(world.state, { 'p:a': '1', 'q:a': '1' })
})

test('claims that are lost when the soak is over end nothing', async (t) => {
  const world = new FakeWorld()
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  world.on('claim one/db/db.a', () => Promise.resolve({ lost }))
  world.on('quiesce', async ({ go }) => {
    lose('late')
    await go()
  })
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([{ params: { keys: ['a'] } }]))
  assert.equal(report.outcome, 'completed')
})
