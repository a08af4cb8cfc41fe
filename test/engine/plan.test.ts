import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../src/core/errors.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import { Fleet } from '../../src/engine/fleet.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { makeRig } from './helpers.ts'

type Limits = Experiment['safety']['limits']

const keys = (...names: string[]) => ({ params: { keys: names } })
const limited = (more: Partial<Limits>): Partial<Experiment> => {
  const { safety } = fakeExperiment([])
  return { safety: { ...safety, limits: { ...safety.limits, ...more } } }
}
const safety = (more: Partial<Experiment['safety']>): Partial<Experiment> => ({
  safety: { ...fakeExperiment([]).safety, ...more },
})
const many = (n: number): FakeWorld =>
  new FakeWorld(Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, ''])))

test('planning changes nothing, and reads no more than who and what there is', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const before = world.state
  await rig.plan(fakeExperiment([keys('a')]))
  assert.deepEqual(world.state, before)
  assert.deepEqual(world.log, ['connect', 'identity', 'discover', 'plan fake.write'])
})

test('data comes before settings and settings before what is held, whatever the order in the file', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const { steps } = await rig.plan(
    fakeExperiment([
      { skill_name: 'fake.hold', ...keys('a') },
      { skill_name: 'fake.set', ...keys('b') },
      keys('c'),
      keys('d'),
    ]),
  )
  assert.deepEqual(
    steps.map((s) => [s.step, s.skill, s.resource, s.invocation]),
    [
      [1, 'fake.write', 'db.c', 2],
      [2, 'fake.write', 'db.d', 3],
      [3, 'fake.set', 'db.b', 1],
      [4, 'fake.hold', 'db.a', 0],
    ],
  )
  assert.deepEqual(new Set(steps.map((s) => s.mark)).size, 4)
})

test('the same seed plans the same steps, another seed others', async (t) => {
  const rig = await makeRig(t, many(30))
  const experiment = fakeExperiment([{ params: { pick: 5 } }])
  const resources = async (seed: string): Promise<string[]> =>
    (await rig.plan(experiment, seed)).steps.map((s) => s.resource)
  assert.deepEqual(await resources('one'), await resources('one'))
  assert.notDeepEqual(await resources('one'), await resources('two'))
})

test('a run over limits.rows is refused and says both figures; one at the limit is not', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const experiment = (rows: number) => fakeExperiment([{ params: { keys: ['a', 'b'], rows } }], limited({ rows: 100 }))
  await assert.rejects(rig.plan(experiment(51)), { code: 'REFUSED_LIMIT', message: /102 rows.*limits\.rows is 100/ })
  assert.equal((await rig.plan(experiment(50))).steps.length, 2)
})

test('a run over limits.resources is refused, also where params name them', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const experiment = fakeExperiment([keys('a', 'b'), keys('b', 'c')], limited({ resources: 2 }))
  await assert.rejects(rig.plan(experiment), { code: 'REFUSED_LIMIT', message: /3 resources/ })
  const same = fakeExperiment([keys('a', 'b'), keys('b', 'a')], limited({ resources: 2 }))
  assert.equal((await rig.plan(same)).steps.length, 4)
})

test('limits.percent bounds what skills pick by themselves, all together, and never to less than one', async (t) => {
  const picked = async (n: number, percent: number): Promise<number> => {
    const rig = await makeRig(t, many(n))
    const twice = fakeExperiment([{ params: { pick: 100 } }, { params: { pick: 100 } }], limited({ percent }))
    return (await rig.plan(twice)).steps.length
  }
  assert.equal(await picked(20, 25), 5)
  assert.equal(await picked(20, 100), 20)
  assert.equal(await picked(3, 10), 1)
})

test('limits.percent is of what was discovered and not of what filters leave', async (t) => {
  const rig = await makeRig(t, many(20))
  const filtered = { ...limited({ percent: 25 }), resource_filters: ['t1.*'] }
  assert.equal((await rig.plan(fakeExperiment([{ params: { pick: 100 } }], filtered))).steps.length, 5)
})

test('what one kind of resource has used up does not count against the percent of another', async (t) => {
  const rig = await makeRig(t, many(4))
  const setting = { skill_name: 'fake.set', ...keys('not-a-thing') }
  const experiment = fakeExperiment([setting, { params: { pick: 100 } }], limited({ percent: 25 }))
  assert.equal((await rig.plan(experiment)).steps.filter((s) => s.skill === 'fake.write').length, 1)
})

test('limits.resources bounds what skills pick by themselves', async (t) => {
  const rig = await makeRig(t, many(20))
  const experiment = fakeExperiment([{ params: { pick: 100 } }], limited({ resources: 7 }))
  assert.equal((await rig.plan(experiment)).steps.length, 7)
})

test('repeats by count never share a resource', async (t) => {
  const rig = await makeRig(t, many(12))
  const { steps } = await rig.plan(fakeExperiment([{ params: { pick: 3 }, count: 4 }]))
  assert.equal(steps.length, 12)
  assert.equal(new Set(steps.map((s) => s.resource)).size, 12)
  assert.deepEqual(new Set(steps.map((s) => s.invocation)), new Set([0, 1, 2, 3]))
})

test('filters are anchored and tried against the id and against the bare name', async (t) => {
  const world = new FakeWorld({ users: '', users_old: '', orders: '' })
  const rig = await makeRig(t, world)
  const picked = async (...resource_filters: string[]): Promise<string[]> => {
    const plan = await rig.plan(fakeExperiment([{ params: { pick: 100 } }], { resource_filters }))
    return plan.steps.map((s) => s.resource).sort()
  }
  assert.deepEqual(await picked('users'), ['db.users'])
  assert.deepEqual(await picked('db\\.users'), ['db.users'])
  assert.deepEqual(await picked('users.*'), ['db.users', 'db.users_old'])
  assert.deepEqual(await picked('users|orders'), ['db.orders', 'db.users'])
  assert.deepEqual(await picked('orders', 'users_.*'), ['db.orders', 'db.users_old'])
})

test('filters do not restrict what params name', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const { steps, view } = await rig.plan(fakeExperiment([keys('b')], { resource_filters: ['a'] }))
  assert.deepEqual([steps.map((s) => s.resource), view.resources.map((r) => r.id)], [['db.b'], ['db.a']])
})

test('every filter that matches nothing is named at once, with what there is: exit code 2', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  await assert.rejects(rig.plan(fakeExperiment([keys('a')], { resource_filters: ['ser', 'a', 'b.'] })), (error) => {
    assert.ok(error instanceof ConfigError)
    assert.deepEqual([error.code, error.exitCode], ['CONFIG_NOT_ON_TARGET', 2])
    assert.deepEqual(
      error.problems.map((p) => p.path),
      ['resource_filters[0]', 'resource_filters[2]'],
    )
    assert.match(error.message, /"ser" matches nothing; there is db\.a, db\.b/)
    return true
  })
})

test('names that say production are refused before anything is discovered, unless they are allowed', async (t) => {
  const world = new FakeWorld()
  world.names = ['db.prod.example', 'shop']
  const rig = await makeRig(t, world)
  await assert.rejects(rig.plan(fakeExperiment([keys('a')])), {
    code: 'REFUSED_PROTECTED',
    message: /db\.prod\.example looks like production.*allow: \["db\.prod\.example"\]/,
  })
  assert.ok(!world.log.includes('discover'))
  const allowed = fakeExperiment([keys('a')], safety({ allow: ['db.prod.example'] }))
  assert.equal((await rig.plan(allowed)).steps.length, 1)
  await assert.rejects(rig.plan(fakeExperiment([keys('a')], safety({ allow: ['*'], protected: ['shop'] }))), {
    code: 'REFUSED_PROTECTED',
    message: /^shop/,
  })
})

test('failsafe: require refuses a skill that nothing on the target would end', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const require = safety({ failsafe: 'require' })
  await assert.rejects(rig.plan(fakeExperiment([keys('a')], require)), { code: 'REFUSED_FAILSAFE' })
  for (const skill_name of ['fake.set', 'fake.hold']) {
    assert.equal((await rig.plan(fakeExperiment([{ skill_name, ...keys('a') }], require))).steps.length, 1)
  }
})

test('mistakes of all skills in what the target has are reported together, each with its place', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const agent = (message: string) =>
    new ConfigError([{ file: '', line: 0, column: 0, path: 'params.tables[0]', message }], 'CONFIG_NOT_ON_TARGET')
  let n = 0
  const { planRun } = await import('../../src/engine/plan.ts')
  const signal = new AbortController().signal
  const target = (await import('../fakes/agent.ts')).fakeTarget(world)
  const real = await target.connect({}, { install: 'abcdef', run: 'r1', clock: rig.clock, signal })
  await assert.rejects(
    planRun({
      fleet: new Fleet([
        {
          ...{ place: '', endpoint: 'x', identity: await real.identity(signal) },
          agent: { ...real, plan: () => Promise.reject(agent(`no table ${++n}`)) },
        },
      ]),
      ...{ experiment: fakeExperiment([{ count: 3 }, {}]), signal },
      ...{ endpoint: target.endpoint({ url: 'x' }), skills: target.skills, install: 'abcdef', run: 'r1', seed: 's' },
      onPhase: () => undefined,
    }),
    (error) => {
      assert.ok(error instanceof ConfigError)
      assert.deepEqual(
        error.problems.map((p) => `${p.path}: ${p.message}`),
        ['skills[0].params.tables[0]: no table 1', 'skills[1].params.tables[0]: no table 2'],
      )
      return true
    },
  )
})

test('a step spread over the soak behind a lock of the same run is refused; elsewhere it is not', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const lock = { skill_name: 'fake.hold', params: { keys: ['a'], touches: ['b'] } }
  await assert.rejects(rig.plan(fakeExperiment([lock, { ...keys('b'), spread: true }])), { code: 'REFUSED_UNSUITABLE' })
  assert.equal((await rig.plan(fakeExperiment([lock, { ...keys('c'), spread: true }]))).steps.length, 2)
  assert.equal((await rig.plan(fakeExperiment([lock, keys('b')]))).steps.length, 2)
})

test('claims cover everything that is touched, once, under the scope of the skill', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  const { claims } = await rig.plan(
    fakeExperiment([
      { params: { keys: ['b'], touches: ['a'] } },
      { params: { keys: ['a'], touches: ['b'] } },
      { skill_name: 'fake.set', ...keys('c') },
    ]),
  )
  assert.deepEqual(claims, [
    { place: '', scope: 'server', key: 'one/db.c' },
    { place: '', scope: 'resource', key: 'one/db/db.a' },
    { place: '', scope: 'resource', key: 'one/db/db.b' },
  ])
})

test('a skill that the target does not have is refused', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  await assert.rejects(rig.plan(fakeExperiment([{ skill_name: 'fake.none' }])), { code: 'REFUSED_UNSUITABLE' })
})
