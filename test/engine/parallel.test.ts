import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StaleError } from '../../src/core/errors.ts'
import type { StepView } from '../../src/core/plan-view.ts'
import { KeyedMutex } from '../../src/engine/keyed-mutex.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { kindsIn, makeRig } from './helpers.ts'

const on = (key: string, touches: string[] = [], skill_name = 'fake.write') => ({
  skill_name,
  params: { keys: [key], touches },
})
const turns = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Every apply lasts some turns; the log tells when each begins and ends. */
function slow(world: FakeWorld, log: string[]): FakeWorld {
  for (const key of world.values.keys()) {
    world.on(`apply ${key}`, async ({ go }) => {
      log.push(`+${key}`)
      await turns(key === 'a' ? 30 : 10)
      await go()
      log.push(`-${key}`)
    })
  }
  return world
}

/** Pairs that were under way at the same time. */
function overlaps(log: string[]): string[] {
  const pairs: string[] = []
  const open = new Set<string>()
  for (const entry of log) {
    const key = entry.slice(1)
    if (entry.startsWith('-')) open.delete(key)
    else {
      for (const other of open) pairs.push([other, key].sort().join())
      open.add(key)
    }
  }
  return pairs.sort()
}

test('invocations run side by side, those that touch the same things one after the other', async (t) => {
  const log: string[] = []
  const world = slow(new FakeWorld(), log)
  const rig = await makeRig(t, world)
  const experiment = fakeExperiment([on('a', ['x']), on('b', ['x']), on('c'), on('d', ['c'])], { parallel: true })
  const report = await rig.run(experiment)
  assert.equal(report.outcome, 'completed')
  const pairs = overlaps(log)
  assert.ok(pairs.includes('a,c'), pairs.join(' '))
  assert.ok(!pairs.includes('a,b') && !pairs.includes('c,d'), pairs.join(' '))
})

test('without parallel nothing overlaps', async (t) => {
  const log: string[] = []
  const rig = await makeRig(t, slow(new FakeWorld(), log))
  await rig.run(fakeExperiment([on('a'), on('b'), on('c')]))
  assert.deepEqual(log, ['+a', '-a', '+b', '-b', '+c', '-c'])
})

test('the steps of one invocation stay in order', async (t) => {
  const log: string[] = []
  const rig = await makeRig(t, slow(new FakeWorld(), log))
  await rig.run(fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }, on('d')], { parallel: true }))
  assert.deepEqual(
    log.filter((l) => l.startsWith('+') && l !== '+d'),
    ['+a', '+b', '+c'],
  )
})

test('data is done before the first setting, and settings before the first held thing', async (t) => {
  const log: string[] = []
  const rig = await makeRig(t, slow(new FakeWorld(), log))
  await rig.run(
    fakeExperiment([on('c', [], 'fake.hold'), on('b', [], 'fake.set'), on('a'), on('d')], { parallel: true }),
  )
  const at = (entry: string): number => log.indexOf(entry)
  assert.ok(at('-a') < at('+b') && at('-d') < at('+b') && at('-b') < at('+c'), log.join(' '))
})

test('a side-by-side run is undone in the reverse order of its journal', async (t) => {
  const world = slow(new FakeWorld(), [])
  const rig = await makeRig(t, world)
  let planned: string[] = []
  world.on('quiesce', () => {
    planned = kindsIn(rig.file).filter((k) => k.startsWith('step.planned'))
    return Promise.resolve()
  })
  await rig.run(fakeExperiment([on('a'), on('b'), on('c')], { parallel: true }))
  const undone = rig.events.flatMap((e) => (e.type === 'step.reverted' ? [`step.planned ${e.step.step}`] : []))
  assert.deepEqual(undone, planned.reverse())
})

test('after a failed step no lane begins another one, also where a step of another lane is stale', async (t) => {
  const world = new FakeWorld({ a: '1', b: '2', b2: '', c: '3', c2: '' })
  const rig = await makeRig(t, world)
  let failed = false
  world.on('apply a', async () => {
    await turns(5)
    failed = true
    throw new Error('no')
  })
  const later = async (): Promise<void> => {
    await until(() => failed, 'a does not fail')
    await turns(20)
  }
  world.on('apply b', async ({ go }) => {
    await later()
    await go()
  })
  world.on('apply c', async () => {
    await later()
    throw new StaleError('gone')
  })
  const lanes = [on('a'), { params: { keys: ['b', 'b2'] } }, { params: { keys: ['c', 'c2'] } }]
  const report = await rig.run(fakeExperiment(lanes, { parallel: true }))
  assert.equal(report.outcome, 'failed')
  assert.deepEqual(world.log.filter((l) => l.startsWith('apply')).sort(), ['apply a', 'apply b', 'apply c'])
  assert.deepEqual(world.state, { a: '1', b: '2', b2: '', c: '3', c2: '' })
})

test('steps that are spread begin at even distances over the soak', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const begun: number[] = []
  const emit = (event: { type: string; step?: number | StepView }): void => {
    if (event.type === 'step.applying') begun.push(rig.clock.monotonic())
  }
  const four = { params: { keys: ['a', 'b', 'c', 'd'] }, spread: true }
  let done = false
  const running = rig.run(fakeExperiment([four], { duration_ms: 40_000 }), { emit }).finally(() => (done = true))
  for (const n of [1, 2, 3, 4]) {
    await until(() => world.log.filter((l) => l.startsWith('inspect')).length === n, `step ${n} is not applied`)
    await rig.clock.untilSleeping(10_000)
    rig.clock.advance(9_999)
    await turns(20)
    assert.equal(begun.length, n)
    assert.equal(done, false)
    rig.clock.advance(1)
  }
  assert.equal((await running).outcome, 'completed')
  assert.deepEqual(begun, [0, 10_000, 20_000, 30_000])
})

test('what is not spread is applied before the soak, and an abort between spread steps undoes those that were', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const spread = { params: { keys: ['b', 'c'] }, spread: true }
  const running = rig.run(fakeExperiment([spread, on('a')], { duration_ms: 60_000 }))
  await until(() => world.log.includes('inspect b'), 'b is not applied')
  await rig.clock.untilSleeping(30_000)
  rig.abort()
  const report = await running
  assert.deepEqual(
    world.log.filter((l) => l.startsWith('apply')),
    ['apply a', 'apply b'],
  )
  assert.deepEqual([report.outcome, report.steps.map((s) => s.state)], ['aborted', ['reverted', 'reverted']])
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('work under the same key never overlaps, whatever other keys it has, and nobody waits in a circle', async () => {
  const mutex = new KeyedMutex()
  const busy = new Map<string, number>()
  let most = 0
  const work = (...keys: string[]): Promise<void> =>
    mutex.run(keys, async () => {
      for (const key of new Set(keys)) {
        busy.set(key, (busy.get(key) ?? 0) + 1)
        most = Math.max(most, busy.get(key)!)
      }
      await turns(2)
      for (const key of new Set(keys)) busy.set(key, busy.get(key)! - 1)
    })
  await Promise.all([work('a', 'b'), work('b', 'a'), work('b', 'c'), work('c', 'a'), work('a'), work('a', 'a'), work()])
  assert.equal(most, 1)
})

test('work that throws lets the next one in', async () => {
  const mutex = new KeyedMutex()
  await assert.rejects(
    mutex.run(['a'], () => Promise.reject(new Error('no'))),
    /no/,
  )
  assert.equal(await mutex.run(['a'], () => Promise.resolve('in')), 'in')
})
