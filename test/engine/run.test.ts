import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CodedError, RefusedError, StaleError, TargetError } from '../../src/core/errors.ts'
import type { Report } from '../../src/core/report.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { until } from '../fakes/clock.ts'
import { kindsIn, makeRig, recordsIn } from './helpers.ts'

const keys = (...names: string[]) => ({ params: { keys: names } })
const statesOf = (report: Report): string[] => report.steps.map((s) => s.state)

test('every step is durably planned, then applied, then inspected, then recorded as applied, before the next begins', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const inFile: string[][] = []
  for (const key of ['a', 'b']) {
    world.on(`apply ${key}`, async ({ go }) => {
      inFile.push(kindsIn(rig.file))
      await go()
      inFile.push(kindsIn(rig.file))
    })
  }
  const report = await rig.run(fakeExperiment([keys('a', 'b')]))
  assert.deepEqual(inFile, [
    ['run.started', 'step.planned 1'],
    ['run.started', 'step.planned 1', 'step.recorded 1'],
    ['run.started', 'step.planned 1', 'step.recorded 1', 'step.applied 1', 'step.planned 2'],
    ['run.started', 'step.planned 1', 'step.recorded 1', 'step.applied 1', 'step.planned 2', 'step.recorded 2'],
  ])
  assert.deepEqual(world.log.slice(world.log.indexOf('apply a')), [
    'apply a',
    'inspect a',
    'apply b',
    'inspect b',
    'quiesce',
    'revert b',
    'inspect b',
    'revert a',
    'inspect a',
    'close',
  ])
  assert.deepEqual([report.outcome, report.exit_code, statesOf(report)], ['completed', 0, ['reverted', 'reverted']])
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('a clean run leaves its report and neither journal nor secret', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual(await rig.state.history.read('r1'), report)
  assert.deepEqual(readdirSync(join(rig.state.path, 'journal')), [])
  assert.deepEqual(readdirSync(join(rig.state.path, 'secrets')), [])
})

test('the secret is kept before the journal begins, and no byte of the journal or the report holds it', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let seen = ''
  world.on('claim one/db/db.a', () => {
    assert.equal(existsSync(rig.file), false)
    return Promise.resolve()
  })
  world.on('apply a', async ({ go }) => {
    seen = readFileSync(rig.file, 'utf8')
    assert.match(readFileSync(join(rig.state.path, 'secrets', 'r1'), 'utf8'), /canary-password/)
    await go()
  })
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.match(seen, /step\.planned/)
  assert.doesNotMatch(seen, /canary/)
  assert.doesNotMatch(JSON.stringify([report, rig.events]), /canary/)
})

test('a journal that cannot be begun leaves no secret behind and touches nothing', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  // The name is taken: creating it fails after the secret has been kept.
  world.on('claim one/db/db.a', async () => {
    const { FileJournal } = await import('../../src/journal/file-journal.ts')
    await (await FileJournal.create(rig.file)).close()
  })
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.outcome, report.exit_code], ['failed', 5])
  assert.equal(await rig.state.secrets.read('r1'), undefined)
  assert.ok(!world.log.includes('apply a'))
})

test('recording the same field twice fails the step', async (t) => {
  const world = new FakeWorld().on('apply a', async ({ record, go }) => {
    await go()
    await record({ before: 'again' })
  })
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a')]))
  assert.equal(report.outcome, 'failed')
  assert.match(report.reason ?? '', /recorded before twice/)
  assert.equal(world.state['a'], '1')
})

test('a stale step is skipped, the run goes on and completes', async (t) => {
  const world = new FakeWorld().on('apply b', () => Promise.reject(new StaleError('its row is gone')))
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a', 'b', 'c')]))
  assert.deepEqual([report.outcome, statesOf(report)], ['completed', ['reverted', 'skipped', 'reverted']])
  assert.ok(!world.log.includes('revert b'))
  assert.equal(report.steps[1]?.error, 'its row is gone')
})

test('StaleError from reading back is not a skip: the step has been applied and is undone', async (t) => {
  const world = new FakeWorld()
  let first = true
  world.on('inspect a', () => {
    if (!first) return Promise.resolve()
    first = false
    return Promise.reject(new StaleError('moved on'))
  })
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.outcome, statesOf(report), world.state['a']], ['failed', ['reverted'], '1'])
})

test('a failed step ends the run: nothing more is applied, everything is undone, exit code 1', async (t) => {
  const world = new FakeWorld().on('apply b', () => Promise.reject(new TargetError('TARGET_FAILED', 'no')))
  const rig = await makeRig(t, world)
  const report = await rig.run(fakeExperiment([keys('a', 'b', 'c')]))
  assert.deepEqual([report.outcome, report.exit_code, report.residue], ['failed', 1, []])
  assert.match(report.reason ?? '', /step 2 .*failed: no/)
  assert.ok(!world.log.includes('apply c'))
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('an apply that changes and then fails is taken as maybe applied, and undone', async (t) => {
  const world = new FakeWorld().on('apply a', async ({ go }) => {
    await go()
    throw new Error('connection reset')
  })
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.ok(world.log.includes('revert a'))
  assert.deepEqual([report.outcome, statesOf(report), world.state['a']], ['failed', ['reverted'], '1'])
})

test('apply is called once per step, also when it fails', async (t) => {
  const world = new FakeWorld().on('apply a', () => Promise.reject(new Error('no')))
  await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.equal(world.log.filter((l) => l === 'apply a').length, 1)
})

test('a run in which nothing took effect is ineffective, exit code 1', async (t) => {
  const world = new FakeWorld().on('apply a', ({ record }) => record({ before: '1' }))
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.outcome, report.exit_code, report.reason], ['ineffective', 1, 'no step took effect'])
})

test('work that leaves nothing to undo counts as an effect', async (t) => {
  const world = new FakeWorld().on('inspect a', () =>
    Promise.resolve({ inEffect: 0, restored: 5, foreign: 0, load: 5 }),
  )
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.outcome, report.exit_code], ['completed', 0])
})

test('an abort in the soak undoes everything and ends with 130', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  assert.equal(world.state['a'], 'chaos by fake.write')
  rig.abort()
  const report = await running
  assert.deepEqual([report.outcome, report.reason, report.exit_code], ['aborted', 'SIGTERM', 130])
  assert.equal(world.state['a'], '1')
  assert.ok(rig.events.some((e) => e.type === 'run.aborting' && e.reason === 'SIGTERM'))
})

test('a run that is aborted by a bug of ours is failed, and does not end like one that somebody stopped', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const running = rig.run(fakeExperiment([keys('a')], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  rig.abort(new CodedError('WORKER_LOST', 'a bug: x is not a function'))
  const report = await running
  assert.deepEqual([report.outcome, report.exit_code, rig.world.state['a']], ['failed', 1, '1'])
})

test('the soak lasts as long as configured', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  rig.clock.advance(59_999)
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(!world.log.includes('quiesce'))
  rig.clock.advance(1)
  assert.equal((await running).outcome, 'completed')
})

test('an apply that heeds its signal is awaited after an abort, and what it did is undone', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  world.on('apply a', async ({ go, signal }) => {
    rig.abort()
    await until(() => signal.aborted, 'the signal does not abort')
    await go()
  })
  const report = await rig.run(fakeExperiment([keys('a', 'b')]))
  assert.deepEqual([report.outcome, report.exit_code], ['aborted', 130])
  assert.ok(!world.log.includes('apply b'))
  assert.deepEqual(world.state, { a: '1', b: '2', c: '3', d: '4' })
})

test('an apply that ignores its signal is given up after its grace, and can neither record nor hold afterwards', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let goOn = (): void => undefined
  const late: string[] = []
  let applying: Promise<void> | undefined
  world.on('apply a', ({ record, hold }) => {
    applying = (async () => {
      await new Promise<void>((resolve) => (goOn = resolve))
      hold({ close: () => Promise.resolve(void late.push('closed at once')) })
      await record({ before: '1' }).catch((error: unknown) => late.push(`record: ${(error as Error).message}`))
    })()
    return applying
  })
  const running = rig.run(fakeExperiment([keys('a')]))
  await until(() => world.log.includes('apply a'), 'apply is not called')
  rig.abort()
  await rig.clock.untilSleeping(15_000)
  rig.clock.advance(15_000)
  const report = await running
  assert.deepEqual([report.outcome, report.exit_code, statesOf(report)], ['aborted', 130, ['reverted']])
  goOn()
  await applying
  assert.deepEqual(late, ['closed at once', 'record: it did not come back in time'])
})

test('an apply that never comes back fails its step after 15 minutes', async (t) => {
  const world = new FakeWorld().on('apply a', () => new Promise(() => undefined))
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')]))
  await rig.clock.untilSleeping(15 * 60_000)
  rig.clock.advance(15 * 60_000)
  const report = await running
  assert.deepEqual([report.outcome, report.exit_code], ['failed', 1])
  assert.match(report.reason ?? '', /did not come back in time/)
})

test('reading back after apply that never comes back fails the step too', async (t) => {
  const world = new FakeWorld()
  let first = true
  world.on('inspect a', () => {
    if (!first) return Promise.resolve()
    first = false
    return new Promise(() => undefined)
  })
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')]))
  await until(() => world.log.includes('inspect a'), 'nothing is read back')
  rig.clock.advance(15 * 60_000)
  const report = await running
  assert.deepEqual([report.outcome, statesOf(report), world.state['a']], ['failed', ['reverted'], '1'])
})

test('an abort before anything was applied leaves no journal, and a report with 130', async (t) => {
  for (const at of ['connect', 'identity', 'discover', 'claim one/db/db.a']) {
    const world = new FakeWorld()
    const rig = await makeRig(t, world)
    world.on(at, ({ signal }) => {
      rig.abort()
      signal.throwIfAborted()
      return Promise.resolve()
    })
    const report = await rig.run(fakeExperiment([keys('a')]))
    assert.deepEqual([report.outcome, report.exit_code, report.steps], ['aborted', 130, []], at)
    assert.equal(existsSync(rig.file), false)
    assert.ok(!world.log.includes('apply a'))
  }
})

test('a target that cannot be reached is a failed run with exit code 1', async (t) => {
  const world = new FakeWorld().on('connect', () => Promise.reject(new TargetError('TARGET_UNREACHABLE', 'refused')))
  const report = await (await makeRig(t, world)).run(fakeExperiment([keys('a')]))
  assert.deepEqual([report.outcome, report.exit_code, report.reason], ['failed', 1, 'refused'])
})

test('a connection that does not close does not keep the run from ending', async (t) => {
  const world = new FakeWorld().on('close', () => new Promise(() => undefined))
  const rig = await makeRig(t, world)
  const running = rig.run(fakeExperiment([keys('a')]))
  await rig.clock.untilSleeping(5_000)
  rig.clock.advance(5_000)
  assert.equal((await running).exit_code, 0)
})

test('claims are taken after the plan and before the first step: from the supervisor, then on the target', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const claimed: string[][] = []
  const claim = (keys: string[]): Promise<{ waited: boolean }> => {
    claimed.push(keys)
    world.log.push('supervisor')
    return Promise.resolve({ waited: false })
  }
  await rig.run(fakeExperiment([keys('b'), { skill_name: 'fake.set', params: { keys: ['a'] } }]), { claim })
  assert.deepEqual(claimed, [['one/db.a', 'one/db/db.b']])
  const walk = world.log.filter((l) => !l.startsWith('inspect')).slice(0, 8)
  assert.deepEqual(walk, [
    'connect',
    'identity',
    'discover',
    'plan fake.write',
    'plan fake.set',
    'supervisor',
    'claim one/db.a one/db/db.b',
    'apply b',
  ])
})

test('a claim that had to wait makes the run plan again', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let asked = 0
  const claim = (): Promise<{ waited: boolean }> => {
    if (asked++ === 0) world.values.delete('a')
    return Promise.resolve({ waited: asked === 1 })
  }
  const report = await rig.run(fakeExperiment([{ params: { pick: 4 } }]), { claim })
  assert.equal(world.log.filter((l) => l === 'discover').length, 2)
  assert.deepEqual(report.steps.map((s) => s.resource).sort(), ['db.b', 'db.c', 'db.d'])
})

test('a run that has to wait again and again is refused with exit code 3', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const report = await rig.run(fakeExperiment([keys('a')]), { claim: () => Promise.resolve({ waited: true }) })
  assert.deepEqual([report.outcome, report.exit_code], ['refused', 3])
})

test('a refused claim ends the run before its first step', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const claim = () => Promise.reject(new RefusedError('REFUSED_CLAIMED', 'db.a is in use by run r0'))
  const report = await rig.run(fakeExperiment([keys('a')]), { claim })
  assert.deepEqual([report.outcome, report.exit_code, report.reason], ['refused', 3, 'db.a is in use by run r0'])
  assert.ok(!world.log.some((l) => l.startsWith('claim') || l.startsWith('apply')))
})

test('somebody who watches and throws neither stops the run nor its undo', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const emit = (): never => {
    throw new Error('the sink is broken')
  }
  const report = await rig.run(fakeExperiment([keys('a', 'b')]), { emit })
  assert.deepEqual([report.outcome, statesOf(report)], ['completed', ['reverted', 'reverted']])
})

test('the events of a run tell its walk in order', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  await rig.run(fakeExperiment([keys('a')]))
  assert.deepEqual(rig.told(), [
    'connect',
    'discover',
    'plan',
    'claim',
    'apply',
    'step.applying db.a',
    'step.applied db.a',
    'soak',
    'quiesce',
    'rollback',
    'step.reverting db.a',
    'step.reverted db.a',
  ])
  assert.deepEqual([rig.events[0]?.type, rig.events.at(-1)?.type], ['run.started', 'run.finished'])
})

test('the journal says what is needed to recover: identity, endpoint, seed, and for every step its touches and mark', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let records: ReturnType<typeof recordsIn> = []
  world.on('apply a', () => {
    records = recordsIn(rig.file)
    return Promise.resolve()
  })
  await rig.run(fakeExperiment([{ params: { keys: ['a'], touches: ['b'] } }]))
  const [first, second] = records
  assert.ok(first?.type === 'run.started' && second?.type === 'step.planned')
  assert.deepEqual(
    [first.identity?.parts, first.endpoint, first.seed, first.install],
    [{ id: 'one' }, 'fake://one', 's', rig.state.install],
  )
  assert.deepEqual([second.touches, second.mark], [['db.a', 'db.b'], `chaos-${rig.state.install}-r1-1`])
})
