/** F5: a target that never ends its answer, in each phase: the run ends, says what took too long, and undoes what it did. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Report } from '../../src/core/report.ts'
import type { Agent, Target } from '../../src/core/target.ts'
import { fakeExperiment, fakeTarget, FakeWorld } from '../fakes/agent.ts'
import { makeRig } from './helpers.ts'

/** Real milliseconds for a whole run: its deadlines take none of them. */
const LONGEST_MS = 60_000
/** From here on a timer is a deadline, and comes at once. */
const DEADLINE_MS = 10_000

const never = (): Promise<never> => new Promise(() => undefined)

type Call = 'list' | 'connect' | Exclude<keyof Agent, 'sweep' | 'sample'>

/** The same target with one call that neither ends nor heeds its signal: always, or of one step. */
function frozen(target: Target, call: Call, only?: string): Target {
  if (call === 'list') return { ...target, places: { at: () => undefined, list: never } }
  if (call === 'connect') return { ...target, connect: never }
  return {
    ...target,
    async connect(config, options) {
      const agent = await target.connect(config, options)
      const work = agent[call].bind(agent) as (...args: unknown[]) => unknown
      const hangs = (args: unknown[]): boolean =>
        only === undefined || JSON.stringify(args[1]).includes(`"key":"${only}"`)
      return { ...agent, [call]: (...args: unknown[]) => (hangs(args) ? never() : work(...args)) }
    },
  }
}

async function run(t: TestContext, call: Call, only?: string) {
  const world = new FakeWorld()
  world.observed = () => Promise.resolve({} as never)
  const rig = await makeRig(t, world)
  const real = globalThis.setTimeout
  // The deadlines before the first fault are real timers; all later ones are of the clock.
  t.mock.method(globalThis, 'setTimeout', (work: () => void, ms = 0) => real(work, ms >= DEADLINE_MS ? 5 : ms))
  const turning = setInterval(() => rig.clock.advance(300), 10)
  let limit: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    limit = setInterval(() => reject(new Error('the run does not end')), LONGEST_MS)
  })
  try {
    const experiment = fakeExperiment([{ params: { keys: ['a', 'b'], apply_ms: 20_000 } }], { duration_ms: 1_000 })
    const report: Report = await Promise.race([
      rig.run(experiment, { target: frozen(fakeTarget(world), call, only) }),
      late,
    ])
    return { rig, world, report, recovered: () => Promise.race([rig.recover(), late]) }
  } finally {
    clearInterval(turning)
    clearInterval(limit)
  }
}

const AS_BEFORE = { a: '1', b: '2', c: '3', d: '4' }

describe('F5: before the first fault', () => {
  for (const [call, phase] of [
    ['list', 'connecting'],
    ['connect', 'connecting'],
    ['identity', 'asking who it is'],
    ['discover', 'discovering'],
    ['plan', 'planning'],
    ['claim', 'claiming'],
  ] as const)
    test(`${call} never ends: the run fails, and nothing was changed`, async (t) => {
      const { report, world, rig } = await run(t, call)
      assert.deepEqual(
        [report.outcome, report.code, report.exit_code],
        ['failed', 'TARGET_UNREACHABLE', 1],
        report.reason,
      )
      assert.match(report.reason ?? '', new RegExp(`${phase} did not end within \\d+m: the target answers too slowly`))
      assert.deepEqual([report.steps, report.residue, world.state], [[], [], AS_BEFORE])
      assert.deepEqual(await rig.state.runs.list(), [])
    })
})

describe('F5: while faults are in place', () => {
  for (const call of ['apply', 'inspect'] as const)
    test(`${call} of the second step never ends: the step fails, and the first is undone`, async (t) => {
      const { report, world } = await run(t, call, 'b')
      assert.deepEqual([report.outcome, report.code], ['failed', 'STEP_FAILED'], report.reason)
      assert.match(report.reason ?? '', /^step 2 .* failed: .*(?:time|within|too long|did not)/i)
      assert.equal(world.state['a'], '1')
      // Where it cannot be read back it does not count as undone.
      assert.deepEqual(
        [report.exit_code, report.residue.map(({ step }) => step)],
        call === 'apply' ? [1, []] : [4, [2]],
      )
    })

  test('observe never ends: the report does without, and everything is undone', async (t) => {
    const { report, world, rig } = await run(t, 'observe')
    assert.deepEqual([report.outcome, report.exit_code, report.residue], ['completed', 0, []], report.reason)
    assert.ok(rig.events.some((event) => event.type === 'run.warning' && /no answer within 3 s/.test(event.message)))
    assert.deepEqual(world.state, AS_BEFORE)
  })

  for (const call of ['quiesce', 'revert'] as const)
    test(`${call} never ends: it is given up for now, told as residue, and undone by the next recovery`, async (t) => {
      const { report, world, recovered } = await run(t, call)
      assert.deepEqual([report.exit_code, report.residue.map(({ step }) => step)], [4, [2, 1]], report.reason)
      assert.match(report.residue[0]?.error ?? '', /progress|within|time/i)
      const later = await recovered()
      assert.deepEqual([later.recovered, later.residue, world.state], [true, [], AS_BEFORE])
    })

  test('close never ends: the run is over all the same', async (t) => {
    const { report, world } = await run(t, 'close')
    assert.deepEqual([report.outcome, report.exit_code, world.state], ['completed', 0, AS_BEFORE], report.reason)
  })
})
