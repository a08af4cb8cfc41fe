import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { RefusedError, RollbackError } from '../../src/core/errors.ts'
import type { Report } from '../../src/core/report.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import type { FakeStep } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { kindsIn, makeRig, recordsIn } from './helpers.ts'

const keys = (...names: string[]) => ({ params: { keys: names } })
const hold = (...names: string[]) => ({ skill_name: 'fake.hold', params: { keys: names } })
const fails = (): Promise<never> => Promise.reject(new Error('the server says no'))
const reverts = (world: FakeWorld): string[] => world.log.filter((l) => l.startsWith('revert'))
const isState = (report: Report): string[] => report.steps.map((s) => s.state)

test('steps are undone last first', async (t) => {
  const world = new FakeWorld()
  await (await makeRig(t, world)).run(fakeExperiment([keys('b', 'a'), keys('d', 'c')]))
  assert.deepEqual(reverts(world), ['revert c', 'revert d', 'revert a', 'revert b'])
})

test('quiesce comes before any reading back or undoing', async (t) => {
  const world = new FakeWorld()
  await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  const rest = world.log.slice(world.log.lastIndexOf('quiesce'))
  assert.deepEqual(rest, ['quiesce', 'revert a', 'inspect a', 'close'])
})

test('where quiesce fails nothing is undone, because something may still land: all of it is residue', async (t) => {
  const world = new FakeWorld().on('quiesce', fails)
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a', 'b')]))
  assert.deepEqual([report.exit_code, isState(report), reverts(world)], [4, ['residue', 'residue'], []])
  assert.match(report.residue[0]?.error ?? '', /the server says no/)
})

test('quiesce that fails once is tried again', async (t) => {
  const world = new FakeWorld()
  world.on('quiesce', () => {
    world.off('quiesce')
    return fails()
  })
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.exit_code, world.state['a']], [0, '1'])
})

test('F2: strangers that have a name of the run are warned of once, however often quiesce is tried, and nothing fails by them', async (t) => {
  const world = new FakeWorld()
  world.namesakes = Array.from({ length: 7 }, (_, n) => `session ${n} of role billing`)
  world.on('quiesce', () => {
    world.off('quiesce')
    return fails()
  })
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.exit_code, world.state['a']], [0, '1'])
  const warnings = rig.events.flatMap((event) => (event.type === 'run.warning' ? event.message : []))
  const [first = '', ...more] = warnings.filter((message) => message.includes('billing'))
  assert.match(first, /left alone, .* ours: session 0 of role billing, .*session 4 of role billing and 2 more$/)
  assert.deepEqual(more, [])
})

test('held things are closed before anything else, the last one first', async (t) => {
  const world = new FakeWorld()
  await (await makeRig(t, world)).run(fakeExperiment([keys('c'), hold('a', 'b')]))
  const rest = world.log.slice(world.log.indexOf('inspect b') + 1).filter((l) => !l.startsWith('inspect'))
  assert.deepEqual(rest, ['release b', 'release a', 'quiesce', 'revert b', 'revert a', 'revert c', 'close'])
})

test('held things are closed side by side: of fifty each ends when all of them have begun to', async (t) => {
  const world = new FakeWorld()
  const [closing, closed]: number[][] = [[], []]
  let all: () => void
  const begun = new Promise<void>((resolve) => (all = resolve))
  world.on('apply a', async ({ go, hold }) => {
    await go()
    for (let n = 0; n < 50; n++)
      hold({
        async close() {
          if (closing!.push(n) === 50) all()
          await begun
          closed!.push(n)
        },
      })
  })
  const report = await (await makeRig(t, world)).run(fakeExperiment([hold('a')]))
  assert.deepEqual([report.outcome, closed!.length], ['completed', 50])
})

test('a held thing that hangs or throws when it is closed keeps nothing from being undone', async (t) => {
  const world = new FakeWorld()
  const throwing = () => {
    throw new Error('already gone')
  }
  world.on('apply a', async ({ go, hold }) => {
    await go()
    hold({ close: throwing })
    hold({ close: () => new Promise(() => undefined) })
  })
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([hold('a')]))
  await rig.clock.untilSleeping(5_000)
  rig.clock.advance(5_000)
  const report = await running
  assert.deepEqual([report.outcome, world.state['a']], ['completed', '1'])
  assert.deepEqual(rig.clock.sleeping, [], 'and leaves no timer behind')
})

test('what still reads as in effect after its undo is residue: exit code 4, and its journal stays', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a', 'b', 'c')]))
  assert.deepEqual([report.outcome, report.exit_code], ['completed', 4])
  assert.deepEqual(isState(report), ['reverted', 'residue', 'reverted'])
  assert.deepEqual(
    report.residue.map(({ step, resource }) => [step, resource]),
    [[2, 'db.b']],
  )
  assert.match(report.residue[0]?.error ?? '', /still in effect after its undo: 1/)
  assert.deepEqual(
    pendingSteps(await readJournal(rig.file)).map((s) => s.step),
    [2],
  )
  assert.ok(!kindsIn(rig.file).includes('run.finished'))
  assert.notEqual(await rig.state.secrets.read('r1'), undefined)
})

test('what cannot be read back is residue', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('revert a', async ({ go }) => {
    await go()
    world.on('inspect a', fails)
  })
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.exit_code, isState(report)], [4, ['residue']])
})

test('what somebody else has changed is kept and named, and is not residue', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a', 'b')], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  world.values.set('a', 'of the application')
  rig.clock.advance(60_000)
  const report = await running
  assert.deepEqual([report.exit_code, report.residue, isState(report)], [0, [], ['reverted', 'reverted']])
  assert.deepEqual([report.steps[0]?.kept, report.steps[0]?.kept_names], [1, ['a']])
  assert.equal(report.steps[1]?.kept, undefined)
  assert.equal(world.state['a'], 'of the application')
  assert.equal(existsSync(rig.file), false)
})

test('a failed undo blocks earlier steps that touch the same things, and no others', async (t) => {
  const world = new FakeWorld().on('revert c', fails)
  const rig = await makeRig(t, world)
  const touching = { params: { keys: ['c'], touches: ['a'] } }
  const report = await rig.run(fakeExperiment([keys('a'), keys('b'), touching, keys('d')]))
  assert.deepEqual(isState(report), ['residue', 'reverted', 'residue', 'reverted'])
  assert.ok(!reverts(world).includes('revert a'))
  assert.match(report.residue.find((r) => r.step === 1)?.error ?? '', /waits for step 3/)
})

test('a block is handed on: what waits for a step that waits is not undone either', async (t) => {
  const world = new FakeWorld().on('revert c', fails)
  const rig = await makeRig(t, world)
  const on = (key: string, touches: string[]) => ({ params: { keys: [key], touches } })
  const report = await rig.run(fakeExperiment([on('a', ['x']), on('b', ['x', 'y']), on('c', ['y'])]))
  assert.deepEqual(isState(report), ['residue', 'residue', 'residue'])
  assert.deepEqual([...new Set(reverts(world))], ['revert c'])
})

test('an undo that fails is tried again until it succeeds', async (t) => {
  const world = new FakeWorld()
  let tries = 0
  world.on('revert a', ({ go }) => (++tries < 4 ? fails() : go()))
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([tries, report.exit_code, world.state['a']], [4, 0, '1'])
})

test('an undo that this version cannot do is not tried again', async (t) => {
  const world = new FakeWorld().on('revert a', () =>
    Promise.reject(new RefusedError('REFUSED_UNSUITABLE', 'no such skill')),
  )
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.exit_code, reverts(world)], [4, ['revert a']])
})

test('an undo that hangs is given up after 30 s without progress and is residue; the others go on', async (t) => {
  const world = new FakeWorld()
  let aborted = false
  world.on('revert b', ({ signal }) => {
    signal.addEventListener('abort', () => (aborted = true))
    return new Promise(() => undefined)
  })
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a', 'b', 'c')]))
  await until(() => world.log.includes('revert b'), 'b is not undone')
  await rig.clock.untilSleeping(30_000)
  rig.clock.advance(30_000)
  const report = await running
  assert.deepEqual(isState(report), ['reverted', 'residue', 'reverted'])
  assert.match(report.residue[0]?.error ?? '', /no progress for 30 s/)
  assert.ok(aborted, 'its signal is aborted')
})

test('an undo that fails and then hangs is reported with what failed', async (t) => {
  const world = new FakeWorld()
  world.on('revert a', () => {
    world.on('revert a', () => new Promise(() => undefined))
    return fails()
  })
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')]))
  await until(() => reverts(world).length === 2, 'a is not undone twice')
  rig.clock.advance(30_000)
  assert.equal((await running).residue[0]?.error, 'no progress for 30 s: the server says no')
})

test('an undo that makes progress may take longer than 30 s', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('revert a', async ({ go, progress }) => {
    for (let i = 1; i <= 5; i++) {
      rig.clock.advance(20_000)
      await progress({ rows: i })
    }
    await go()
  })
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.exit_code, world.state['a']], [0, '1'])
})

test('progress of an interrupted attempt is seen by the next one', async (t) => {
  const world = new FakeWorld()
  const seen: unknown[] = []
  world.on('revert a', async ({ step, progress, go }) => {
    const upTo = (step as FakeStep & { up_to?: number }).up_to
    seen.push(upTo)
    await progress({ up_to: (upTo ?? 0) + 10 })
    if (seen.length < 3) throw new Error('connection lost')
    await go()
  })
  await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual(seen, [undefined, 10, 20])
})

test('progress of an attempt in a process that died is seen by the recovery', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('revert a', async ({ progress }) => {
    await progress({ up_to: 10 })
    throw new RefusedError('REFUSED_UNSUITABLE', 'as good as dead')
  })
  await rig.run(fakeExperiment([keys('a')]))
  let seen: unknown
  world.on('revert a', async ({ step, go }) => {
    seen = (step as FakeStep & { up_to?: number }).up_to
    await go()
  })
  await rig.recover()
  assert.equal(seen, 10)
})

test('an undo reads the journal file and not memory', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let inMemory: FakeStep | undefined
  let undone: FakeStep | undefined
  world.on('apply a', async ({ step, go }) => {
    inMemory = step
    await go()
    // Whoever kept this object would now undo something else.
    Object.assign(inMemory, { key: 'b', before: 'forged' })
  })
  world.on('revert a', async ({ step, go }) => {
    undone = step
    await go()
  })
  await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual([undone?.key, undone?.before], ['a', '1'])
  assert.notEqual(undone, inMemory)
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('step.reverted is written only after reading back, and run.finished only after the last of them', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const inFile: string[][] = []
  world.on('revert a', async ({ go }) => {
    await go()
    world.on('inspect a', () => {
      inFile.push(kindsIn(rig.file).slice(-2))
      return Promise.resolve()
    })
  })
  world.on('close', () => Promise.resolve())
  await rig.run(fakeExperiment([keys('a', 'b')]))
  assert.deepEqual(inFile, [['step.reverted 2', 'undo.started 1']])
})

test('undo.started tells why, and what the run had come to', async (t) => {
  const world = new FakeWorld().on('apply a', fails).on('revert a', fails)
  const rig = await makeRig(t, world)
  await rig.run(fakeExperiment([keys('a')]))
  const [undo] = recordsIn(rig.file).flatMap((r) => (r.type === 'undo.started' && 'reason' in r ? [r] : []))
  assert.deepEqual([undo?.outcome, undo?.reason], ['failed', 'step 1 (fake.write a) failed: the server says no'])
})

test('an error of reverting is in the report although others went well', async (t) => {
  const world = new FakeWorld().on('revert a', () => Promise.reject(new RollbackError('RESIDUE', 'locked by pid 7')))
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a', 'b')]))
  assert.equal(report.steps[0]?.error, 'locked by pid 7')
  assert.ok(rig.events.some((e) => e.type === 'step.revert_failed' && e.step.step === 1))
  const state = await readJournal(rig.file)
  assert.deepEqual(await loadStep(rig.file, state.steps[0]!), { key: 'a', value: 'chaos by fake.write', before: '1' })
})
