/** Two runs that share one of three places, recovered by the real supervisor and engine: newest first there, side by side elsewhere. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'
import { noLock } from '../../src/supervisor/lock.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import type { startWorker } from '../../src/supervisor/worker-process.ts'
import { fakeExperiment, fakeTarget, FakeWorld } from '../fakes/agent.ts'
import { FakeClock, until } from '../fakes/clock.ts'
import { temporaryFolder } from '../journal/helpers.ts'

const START = { 'p:a': '1', 'q:a': '2', 'q:b': '3', 'r:a': '4' }

test('two runs on p and q, and on q and r: on q the newer is undone first, on p and r nobody waits', async (t) => {
  const world = new FakeWorld(START)
  const target = fakeTarget(world)
  const state = await openStateDir(join(temporaryFolder(t), 'state'))
  const { signal } = new AbortController()
  const emit = (): void => undefined
  // Both are left open: while they are to be undone nobody answers.
  const away: typeof target = {
    ...target,
    connect: async (config, options) => ({ ...(await target.connect(config, options)), quiesce: refused }),
  }
  const clock = new FakeClock()
  const turning = setInterval(() => clock.advance(1_000), 1)
  world.values.set('r:b', '5')
  for (const [run, places, key] of [
    ['r1', ['p', 'q'], 'a'],
    ['r2', ['q', 'r'], 'b'],
  ] as const) {
    world.places = [...places]
    const report = await runExperiment({
      ...{ ...state, run, target: away, clock, signal, emit, seed: 's' },
      ...{ experiment: fakeExperiment([{ params: { keys: [key] } }]), claim: () => Promise.resolve({ waited: false }) },
    })
    assert.equal(report.residue.length, 2, report.reason)
  }
  clearInterval(turning)
  world.places = ['p', 'q', 'r']

  let open: (() => void) | undefined
  world.on('q revert b', async ({ go }) => {
    await new Promise<void>((resolve) => (open = resolve))
    await go()
  })
  const worker: typeof startWorker = ({ job, onBegin, onLeft }) => {
    assert.equal(job.kind, 'recover')
    const result = recoverRun({
      ...{ ...state, run: job.run, target, clock: systemClock, signal, emit, noProgressMs: 60_000 },
      targetConfigs: [{ url: 'fake://one', password: 'canary-password' }],
      begin: async (system) => {
        await onBegin?.(system)
        return () => onLeft?.(system)
      },
    }).then((report) => ({ kind: 'report' as const, report }))
    return Promise.resolve({ result, abort: emit, kill: emit })
  }
  const supervisor = new Supervisor({
    ...{
      state,
      lock: noLock,
      claims: new LocalClaims(),
      main: '',
      targets: [target],
      clock: systemClock,
      experiments: () => [],
      emit,
    },
    startWorker: worker,
  })
  world.log.length = 0
  const recovering = supervisor.recoverAll({ noProgressMs: 60_000 })
  await until(() => open !== undefined, 'the newer run does not begin on q')
  await until(() => world.values.get('p:a') === '1' && world.values.get('r:b') === '5', 'p or r has waited')
  assert.deepEqual([world.values.get('q:a'), world.log.includes('q revert a')], ['chaos by fake.write', false])
  open?.()
  const reports = await recovering
  assert.deepEqual(
    reports.map(({ residue }) => residue),
    [[], []],
  )
  assert.deepEqual(world.state, { ...START, 'r:b': '5' })
  assert.deepEqual([supervisor.blocked, await state.runs.list()], [[], []])
})

function refused(): Promise<never> {
  return Promise.reject(new Error('connection refused'))
}
