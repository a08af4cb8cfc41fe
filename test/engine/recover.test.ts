import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { TargetError } from '../../src/core/errors.ts'
import { readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { kindsIn, makeRig } from './helpers.ts'
import type { Rig } from './helpers.ts'

const CLEAN = { a: '1', b: '2', c: '3', d: '4' }

/** A run of three steps whose process died in the soak: its journal ends there. */
async function died(t: TestContext): Promise<Rig> {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  let journal: Buffer = Buffer.alloc(0)
  const running = rig.run(fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }], { duration_ms: 60_000 }))
  await rig.clock.untilSleeping(60_000)
  journal = readFileSync(rig.file)
  const changed = world.state
  rig.clock.advance(60_000)
  await running
  writeFileSync(rig.file, journal)
  for (const [key, value] of Object.entries(changed)) world.values.set(key, value)
  await rig.state.secrets.keep('r1', {})
  world.log.length = 0
  rig.events.length = 0
  return rig
}

test('recovery undoes what a dead run left, last first, after quiesce, and forgets it', async (t) => {
  const rig = await died(t)
  const report = await rig.recover()
  const walk = rig.world.log.filter((l) => !l.startsWith('inspect'))
  assert.deepEqual(walk, ['connect', 'identity', 'quiesce', 'revert c', 'revert b', 'revert a', 'close'])
  assert.deepEqual(rig.world.state, CLEAN)
  assert.deepEqual([report.recovered, report.outcome, report.residue], [true, 'aborted', []])
  assert.match(report.reason ?? '', /its process ended before the soak was over/)
  assert.equal(existsSync(rig.file), false)
  assert.equal(await rig.state.secrets.read('r1'), undefined)
  assert.deepEqual(
    (await rig.state.history.read('r1'))?.steps.map((s) => s.state),
    ['reverted', 'reverted', 'reverted'],
  )
})

test('recovery after the undo had begun keeps what the run had come to', async (t) => {
  const world = new FakeWorld().on('revert a', () => Promise.resolve())
  const rig = await makeRig(t, world)
  await rig.run(fakeExperiment([{ params: { keys: ['a'] } }]))
  world.off('revert a')
  const report = await rig.recover()
  assert.deepEqual([report.outcome, report.recovered, report.exit_code], ['completed', true, 0])
})

test('a residue is finished by the next recovery, and a second one finds no journal', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  const first = await rig.run(fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }]))
  assert.equal(first.exit_code, 4)
  world.off('revert b')
  world.log.length = 0
  const second = await rig.recover()
  assert.deepEqual([second.exit_code, second.residue], [0, []])
  assert.deepEqual(
    world.log.filter((l) => l.startsWith('revert')),
    ['revert b'],
  )
  assert.deepEqual(await rig.state.runs.list(), [])
  world.log.length = 0
  await assert.rejects(rig.recover(), { code: 'JOURNAL_READ' })
  assert.deepEqual(world.log, [])
})

test('a recovery that dies at any of its steps is finished by the next one', async (t) => {
  for (const dying of ['revert c', 'inspect c', 'revert b', 'revert a', 'inspect a']) {
    const rig = await died(t)
    const { world } = rig
    let journal: Buffer | undefined
    world.on(dying, async ({ go }) => {
      await go()
      journal ??= readFileSync(rig.file)
    })
    await rig.recover()
    // What the next process finds: the journal as it was then, and whatever the target has become since.
    writeFileSync(rig.file, journal!)
    world.off(dying)
    const report = await rig.recover()
    assert.deepEqual([report.residue, world.state], [[], CLEAN], dying)
  }
})

test('another system behind the address is not touched: IDENTITY_MISMATCH, exit code 4', async (t) => {
  const rig = await died(t)
  rig.world.parts = { id: 'another' }
  const before = readFileSync(rig.file)
  await assert.rejects(rig.recover(), (error) => {
    assert.ok(error instanceof TargetError)
    assert.deepEqual([error.code, error.exitCode], ['IDENTITY_MISMATCH', 4])
    assert.match(error.message, /id differ/)
    return true
  })
  assert.deepEqual(rig.world.log, ['connect', 'identity', 'close'])
  assert.deepEqual(readFileSync(rig.file), before)
})

test('a system that tells neither then nor now who it is is recovered at the same address only', async (t) => {
  const rig = await died(t)
  rig.world.parts = { id: null }
  const elsewhere = [{ url: 'fake://elsewhere', password: 'p' }]
  await assert.rejects(rig.recover({ targetConfigs: elsewhere }), { code: 'IDENTITY_MISMATCH' })
  assert.ok(!rig.world.log.includes('quiesce'))
  const report = await rig.recover({ targetConfigs: [...elsewhere, { url: 'fake://one', password: 'p' }] })
  assert.deepEqual([report.residue, rig.world.state], [[], CLEAN])
})

test('the stored configuration is used when the current one does not work', async (t) => {
  const rig = await died(t)
  let tries = 0
  rig.world.on('connect', () => (tries++ === 0 ? Promise.reject(new Error('wrong password')) : Promise.resolve()))
  const targetConfigs = [
    { wrong: 'shape' },
    { url: 'fake://one', password: 'new' },
    { url: 'fake://one', password: 'old' },
  ]
  const report = await rig.recover({ targetConfigs })
  assert.deepEqual([tries, report.residue], [2, []])
})

test('a target that cannot be reached leaves everything for later, and says why for every configuration', async (t) => {
  const rig = await died(t)
  let tries = 0
  rig.world.on('connect', () => Promise.reject(new Error(`reason ${++tries}`)))
  const config = { url: 'fake://one', password: 'p' }
  await assert.rejects(rig.recover({ targetConfigs: [config, config] }), {
    code: 'TARGET_UNREACHABLE',
    message: /reason 1.*reason 2/,
  })
  assert.equal(pendingSteps(await readJournal(rig.file)).length, 3)
})

test('a connection whose identity cannot be read is closed', async (t) => {
  const rig = await died(t)
  rig.world.on('identity', () => Promise.reject(new Error('no permission')))
  await assert.rejects(rig.recover(), { code: 'TARGET_UNREACHABLE' })
  assert.deepEqual(rig.world.log, ['connect', 'identity', 'close'])
})

test('a torn tail is cut by recovery and the rest is undone', async (t) => {
  const rig = await died(t)
  writeFileSync(rig.file, Buffer.concat([readFileSync(rig.file), Buffer.from('140 torn')]))
  const report = await rig.recover()
  assert.deepEqual([report.residue, report.exit_code, rig.world.state], [[], 1, CLEAN])
})

test('of a damaged journal everything readable is undone; it ends with 5 and stays for a person', async (t) => {
  const rig = await died(t)
  const lines = readFileSync(rig.file, 'utf8').split('\n')
  const damaged = lines.findIndex((l) => l.includes('step.applied'))
  lines[damaged] = 'garbage'
  writeFileSync(rig.file, lines.join('\n'))
  const report = await rig.recover()
  assert.deepEqual([report.exit_code, report.residue, rig.world.state], [5, [], CLEAN])
  assert.ok(rig.events.some((e) => e.type === 'run.warning' && e.message.includes('is damaged at byte')))
  assert.ok(existsSync(rig.file))
  assert.ok(!kindsIn(rig.file).includes('run.finished'))
})

test('a journal without a start is not recovered: nobody knows where', async (t) => {
  const rig = await died(t)
  writeFileSync(rig.file, '')
  await assert.rejects(rig.recover(), { message: /has no start/ })
  assert.deepEqual(rig.world.log, [])
})

test('a recovery that is told to stop before it is connected changes nothing', async (t) => {
  const rig = await died(t)
  const stop = new AbortController()
  stop.abort(new Error('SIGTERM'))
  rig.world.on('connect', ({ signal }) => {
    signal.throwIfAborted()
    return Promise.resolve()
  })
  await assert.rejects(rig.recover({ signal: stop.signal }), { message: /SIGTERM/ })
  assert.equal(pendingSteps(await readJournal(rig.file)).length, 3)
})
