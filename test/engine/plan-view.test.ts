/** Plans of many resources: linear, and what is told of them is bounded: counts, and the first of each list. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { viewOf } from '../../src/core/plan-view.ts'
import type { PlanView } from '../../src/core/plan-view.ts'
import { jsonLine } from '../../src/core/foreign.ts'
import { ndjson } from '../../src/observe/ndjson.ts'
import { planLines } from '../../src/observe/progress.ts'
import { plain } from '../../src/observe/paint.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { HOSTILE } from '../fakes/hostile-texts.ts'
import { makeRig } from './helpers.ts'
import type { Rig } from './helpers.ts'

const MANY = 10_000
const limits = { rows: 1e9, resources: 1e6, percent: 100, duration_ms: 3_600_000 }
const safety = { ...fakeExperiment([]).safety, limits }

const rigOf = (t: TestContext, names: string[]): Promise<Rig> =>
  makeRig(t, new FakeWorld(Object.fromEntries(names.map((name) => [name, '']))))
const numbered = Array.from({ length: MANY }, (_, i) => `a_table_with_a_long_name_${i}`)
const bytesOf = (view: PlanView): number =>
  Buffer.byteLength(jsonLine({ type: 'run.planned', at: new Date(0).toISOString(), run: 'r'.repeat(20), plan: view }))

test('10 invocations over 10,000 resources cost less than a second of processor time', async (t) => {
  const rig = await rigOf(t, numbered)
  const begun = process.cpuUsage()
  const { steps } = await rig.plan(fakeExperiment([{ params: { pick: 100 }, count: 10 }], { safety }))
  const { user, system } = process.cpuUsage(begun)
  assert.equal(steps.length, 1000)
  assert.ok(user + system < 1_000_000, `${(user + system) / 1000} ms`)
})

test('the event of a plan over 10,000 resources is under 100 kB, and says how many there are of what', async (t) => {
  const rig = await rigOf(t, numbered)
  const entries = [
    { params: { pick: MANY } },
    { skill_name: 'fake.hold', params: { keys: numbered.slice(0, 300) } },
    { skill_name: 'fake.set', params: { keys: numbered.slice(0, 2) } },
  ]
  const { view, steps } = await rig.plan(fakeExperiment(entries, { safety }))
  assert.equal(steps.length, MANY + 302)
  assert.ok(bytesOf(view) < 100_000, `${bytesOf(view)} bytes`)
  assert.deepEqual(view.counts.resources, { thing: MANY })
  assert.deepEqual(view.counts.steps, { 'fake.write': MANY, 'fake.set': 2, 'fake.hold': 300 })
  assert.deepEqual([view.steps.length, view.resources.length], [100, 100])
  const lines = planLines(view, plain)
  assert.ok(lines.includes('     and 10,202 more: 9,900 fake.write, 2 fake.set, 300 fake.hold'), lines.join('\n'))
})

test('a plan of a few is told whole', async (t) => {
  const rig = await rigOf(t, ['a', 'b', 'c'])
  const { view, steps } = await rig.plan(fakeExperiment([{ params: { keys: ['a', 'b'] } }]))
  assert.deepEqual(
    view.steps,
    steps.map(({ step, skill, resource, describe }) => ({ step, skill, resource, describe })),
  )
  assert.equal(view.resources.length, 3)
  assert.ok(!planLines(view, plain).join('\n').includes('more'))
})

const LONG = { ...HOSTILE, 'names of 2,000 characters': '\u0001'.repeat(2_000), 'wide ones': '\u{e0041}'.repeat(1_000) }

for (const [what, text] of Object.entries(LONG)) {
  test(`however much of everything there is, the event is under 100 kB: ${what}`, () => {
    const all = Array.from({ length: 400 }, (_, i) => ({
      skill: `fake.skill_${i % 30}`,
      ...{ step: i, resource: text, describe: text, reason: text, fix: text.slice(0, 2_000) },
      ...{ id: text, name: text, kind: `${text.slice(0, 30)}${i}`, detail: text, aside: text },
    }))
    const identity = Object.fromEntries(all.map((_, i) => [`${text.slice(0, 30)}${i}`, text]))
    const view = viewOf({
      ...{ target: 'fake', summary: text, seed: 's', identity, resources: all, steps: all, skipped: all },
      notes: all.map(({ reason }) => reason),
    })
    assert.ok(bytesOf(view) < 100_000, `${bytesOf(view)} bytes`)
    assert.equal(view.counts.notes, 400)
    for (const counts of [view.counts.resources, view.counts.steps, view.counts.skipped]) {
      assert.equal(
        Object.values(counts).reduce((sum, n) => sum + n, 0),
        400,
      )
      assert.ok(Object.keys(counts).length <= 21)
    }
    for (const list of [view.resources, view.steps, view.skipped, view.notes]) assert.ok(list.length > 0)
  })
}

test('statements that lift a reason are told whole or not at all', () => {
  const skipped = ['GRANT SELECT ON a TO b', 'GRANT '.repeat(1_000)].map((fix) => ({
    ...{ skill: 's', resource: 'r', reason: 'why', fix },
  }))
  const view = viewOf({
    ...{ target: 'fake', identity: {}, summary: '', seed: 's', resources: [], steps: [], notes: [], skipped },
  })
  assert.deepEqual(
    view.skipped.map(({ fix }) => fix),
    ['GRANT SELECT ON a TO b', undefined],
  )
})

test('a run of more steps than are told applies, undoes and reports every one of them', async (t) => {
  const names = numbered.slice(0, 150)
  const rig = await rigOf(t, names)
  const lines: string[] = []
  const write = ndjson((line) => void lines.push(line))
  const report = await rig.run(fakeExperiment([{ params: { keys: names } }], { safety }), {
    emit: (event) => write({ ...event, at: '', run: 'r1' }),
  })
  assert.deepEqual([report.outcome, report.exit_code, report.steps.length], ['completed', 0, 150])
  assert.ok(report.steps.every(({ state }) => state === 'reverted'))
  const planned = JSON.parse(lines.find((line) => line.includes('run.planned')) ?? '{}') as { plan: PlanView }
  assert.deepEqual([planned.plan.steps.length, planned.plan.counts.steps], [100, { 'fake.write': 150 }])
})

test('why nothing was done is one sentence of bounded length, however many are skipped', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const { fakeTarget } = await import('../fakes/agent.ts')
  const target = fakeTarget(world)
  const report = await rig.run(fakeExperiment([{}]), {
    target: {
      ...target,
      connect: async (config, options) => ({
        ...(await target.connect(config, options)),
        plan: () =>
          Promise.resolve({ steps: [], skipped: numbered.map((resource) => ({ resource, reason: 'it is a view' })) }),
      }),
    },
  })
  assert.equal(report.outcome, 'ineffective')
  assert.match(report.reason ?? '', /^there was nothing to do: .*_0: it is a view; .*; and 9990 more$/)
})
