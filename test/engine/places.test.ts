/** A run on several places: each is broken and undone by itself, and what is wrong with one is that one's alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../src/core/errors.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { stuckRun } from '../../src/engine/stuck.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { fakeExperiment, fakeTarget, FakeWorld } from '../fakes/agent.ts'
import { planned, started } from '../journal/helpers.ts'
import { makeRig, recordsIn } from './helpers.ts'

const START = { 'p:a': '1', 'p:b': '2', 'q:a': '3', 'q:b': '4', 'r:a': '5', 'r:b': '6' }

function worldOf(...places: string[]): FakeWorld {
  const world = new FakeWorld(START)
  world.places = places
  return world
}

const writing = (keys: string[], more: Partial<Experiment['skills'][number]> = {}, rest: Partial<Experiment> = {}) =>
  fakeExperiment([{ params: { keys }, ...more }], rest)

const never = (): Promise<never> => new Promise(() => undefined)

/** Turns the rig's clock until the run is over. */
async function turned<T>(rig: Awaited<ReturnType<typeof makeRig>>, work: Promise<T>): Promise<T> {
  const turning = setInterval(() => rig.clock.advance(500), 2)
  try {
    return await work
  } finally {
    clearInterval(turning)
  }
}

const statesOf = ({ steps }: Report): string[] => steps.map(({ resource, state }) => `${resource} ${state}`)

test('every place is planned, broken and undone, and named wherever there are several', async (t) => {
  const world = worldOf('p', 'q')
  const rig = await makeRig(t, world)
  let records: ReturnType<typeof recordsIn> = []
  world.on('q revert a', async ({ go }) => {
    records = recordsIn(rig.file)
    await go()
  })
  const report = await rig.run(writing(['a', 'b']))
  assert.equal(report.outcome, 'completed', report.reason)
  assert.deepEqual(statesOf(report), ['p/db.a', 'p/db.b', 'q/db.a', 'q/db.b'].map((id) => `${id} reverted`)) // prettier-ignore
  assert.deepEqual(
    report.places,
    ['p', 'q'].map((place) => ({ place, endpoint: `fake://one/${place}`, steps: 2, residue: 0 })),
  )
  assert.deepEqual(world.state, START)
  const [first, second] = records
  assert.ok(first?.type === 'run.started' && second?.type === 'step.planned')
  assert.deepEqual([first.format, first.places?.map(({ place }) => place), first.identity], [2, ['p', 'q'], undefined])
  assert.deepEqual([second.place, second.touches], ['p', ['db.a']])
  const plan = rig.events.find((e) => e.type === 'run.planned')
  assert.deepEqual(
    plan?.plan.places?.map(({ place, identity }) => [place, identity]),
    [
      ['p', { id: 'p' }],
      ['q', { id: 'q' }],
    ],
  )
})

test('a configuration that names one system has no places: nothing that is written or told has changed', async (t) => {
  const world = worldOf()
  world.values.set('a', '0')
  const rig = await makeRig(t, world)
  let first: ReturnType<typeof recordsIn>[number] | undefined
  world.on('revert a', async ({ go }) => {
    ;[first] = recordsIn(rig.file)
    await go()
  })
  const report = await rig.run(writing(['a']))
  assert.ok(first?.type === 'run.started')
  assert.deepEqual([first.format, 'places' in first, 'places' in report, 'place' in report.steps[0]!], [1, false, false, false]) // prettier-ignore
})

test('a place that cannot be undone is residue alone; the others are undone before it is given up', async (t) => {
  const world = worldOf('p', 'q', 'r')
  const rig = await makeRig(t, world)
  world.on('q revert a', never)
  const report = await turned(rig, rig.run(writing(['a'])))
  assert.deepEqual([report.exit_code, report.residue.map(({ resource }) => resource)], [4, ['q/db.a']])
  const ends = rig.told().filter((what) => what.startsWith('step.revert'))
  assert.deepEqual(ends.slice(-3), ['step.reverted p/db.a', 'step.reverted r/db.a', 'step.revert_failed q/db.a'])
  assert.deepEqual(
    report.places?.map(({ residue }) => residue),
    [0, 1, 0],
  )
  world.off('q revert a')
  assert.deepEqual([(await rig.recover()).residue, world.state], [[], START])
})

test('at a recovery a place that is away, and one that is another system now, are residue alone', async (t) => {
  const world = worldOf('p', 'q', 'r')
  const rig = await makeRig(t, world)
  for (const place of ['p', 'q', 'r']) world.on(`${place} revert a`, () => Promise.resolve())
  await turned(rig, rig.run(writing(['a'])))
  for (const place of ['p', 'q', 'r']) world.off(`${place} revert a`)
  world.on('q connect', () => Promise.reject(new Error('no route to host')))
  world.partsAt.set('r', { id: 'installed anew' })
  const report = await turned(rig, rig.recover())
  assert.deepEqual(statesOf(report), ['p/db.a reverted', 'q/db.a residue', 'r/db.a residue'])
  assert.match(report.residue.map(({ error }) => error).join(), /no route to host.*r is not the system.*id differ/)
  assert.equal(world.state['r:a'], 'chaos by fake.write')
  const [stuck] = [await stuckRun(rig.state.runs, await rig.state.runs.read('r1'), [fakeTarget(world)])]
  assert.deepEqual(Object.keys(stuck?.identity ?? {}), ['q/id', 'r/id'])
  world.off('q connect')
  world.partsAt.clear()
  assert.deepEqual([(await rig.recover()).residue, world.state], [[], START])
})

test('where takes a number of places, or a share of them, and the seed says which; nobody else is asked', async (t) => {
  for (const [where, count] of [
    [1, 1],
    [2, 2],
    [9, 3],
    ['34%', 1],
    ['70%', 2],
  ] as const) {
    const world = worldOf('p', 'q', 'r')
    const rig = await makeRig(t, world)
    const report = await rig.run(writing(['a'], { where }))
    const connected = world.log.filter((call) => / connect$/.test(call)).map((call) => call[0])
    assert.deepEqual([report.places?.length, connected.length], [count, count])
    const again = worldOf('p', 'q', 'r')
    const other = await makeRig(t, again)
    assert.deepEqual(statesOf(await other.run(writing(['a'], { where }))), statesOf(report))
  }
  const chosen = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const rig = await makeRig(t, worldOf('p', 'q', 'r'))
    chosen.add(statesOf(await rig.run(writing(['a'], { where: 1 }), { seed: `${seed}` })).join())
  }
  assert.equal(chosen.size, 3)
})

test('a step that fails ends its place and not the run, which is not completed; where all fail the run is over', async (t) => {
  const world = worldOf('p', 'q')
  const rig = await makeRig(t, world)
  world.on('p apply a', () => Promise.reject(new Error('disk is full')))
  const report = await turned(rig, rig.run(writing(['a', 'b'], {}, { duration_ms: 5_000 })))
  assert.deepEqual(statesOf(report), ['p/db.a reverted', 'q/db.a reverted', 'q/db.b reverted'])
  assert.deepEqual([report.outcome, report.exit_code], ['failed', 1])
  assert.match(report.reason ?? '', /^step 1 \(fake\.write a\) failed: disk is full/)
  assert.ok(rig.told().includes('soak'))
  assert.deepEqual(world.state, START)

  const both = await makeRig(t, world)
  world.on('q apply a', () => Promise.reject(new Error('disk is full')))
  const over = await turned(both, both.run(writing(['a', 'b'], {}, { duration_ms: 5_000 })))
  assert.deepEqual([over.outcome, both.told().includes('soak')], ['failed', false])
})

test('what is lost on one place in the soak is told at once, and the soak goes on elsewhere', async (t) => {
  const world = worldOf('p', 'q')
  const rig = await makeRig(t, world)
  const lose: (() => void)[] = []
  for (const place of ['p', 'q'])
    world.on(`${place} apply a`, async ({ go, hold }) => {
      await go()
      const lost = new Promise<string>((resolve) => lose.push(() => resolve('an administrator ended it')))
      hold({ close: () => Promise.resolve(), lost })
    })
  const running = rig.run(fakeExperiment([{ skill_name: 'fake.hold', params: { keys: ['a'] } }], { duration_ms: 60_000 })) // prettier-ignore
  await rig.clock.untilSleeping(60_000)
  lose[0]?.()
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(rig.told().includes('step.failed p/db.a') && !rig.told().includes('quiesce'))
  lose[1]?.()
  const report = await turned(rig, running)
  assert.equal(rig.clock.monotonic() < 60_000, true, 'nothing was in effect any more, and the soak went on')
  assert.deepEqual([report.outcome, report.residue], ['failed', []])
  assert.match(report.reason ?? '', /^step 1 .*an administrator ended it/)
})

test('what params name may be on one place only; what is on none is a mistake', async (t) => {
  const world = worldOf('p', 'q')
  const rig = await makeRig(t, world)
  const target = fakeTarget(world)
  const picky: typeof target = {
    ...target,
    async connect(config, options) {
      const agent = await target.connect(config, options)
      const missing = (message: string): Promise<never> =>
        Promise.reject(new ConfigError([{ file: '', line: 0, column: 0, path: 'keys[0]', message }], 'CONFIG_NOT_ON_TARGET')) // prettier-ignore
      const { place } = config as { place: string }
      return {
        ...agent,
        plan: (skill, params, ctx) => {
          const [key = ''] = (params as { keys: string[] }).keys
          return key === 'z' || (key === 'a' && place === 'q') ? missing(`there is no ${key}`) : agent.plan(skill, params, ctx) // prettier-ignore
        },
      }
    },
  }
  const report = await rig.run(writing(['a']), { target: picky })
  assert.deepEqual([statesOf(report), report.outcome], [['p/db.a reverted'], 'completed'])
  assert.deepEqual(report.notes.slice(0, 1), ['q: fake.write does nothing there: there is no a'])
  const wrong = await (await makeRig(t, world)).run(writing(['z']), { target: picky })
  assert.deepEqual([wrong.outcome, wrong.exit_code], ['refused', 2])
  assert.equal(wrong.reason?.match(/there is no z/g)?.length, 1)
})

test('filters are tried against the id with its place, and against the bare name', async (t) => {
  const pick = { params: { pick: 9 } }
  const plan = async (filter: string) => {
    const rig = await makeRig(t, worldOf('p', 'q'))
    return statesOf(await rig.run(fakeExperiment([pick], { resource_filters: [filter] }))).sort()
  }
  assert.deepEqual(await plan('p/.*'), ['p/db.a reverted', 'p/db.b reverted'])
  assert.deepEqual(await plan('b'), ['p/db.b reverted', 'q/db.b reverted'])
})

test('limits.resources is for all places together', async (t) => {
  const rig = await makeRig(t, worldOf('p', 'q'))
  const { safety } = fakeExperiment([])
  const limited = (resources: number) => ({ safety: { ...safety, limits: { ...safety.limits, resources } } })
  const picked = await rig.run(fakeExperiment([{ params: { pick: 9 } }], limited(2)))
  assert.equal(picked.steps.length, 2)
  const named = await (await makeRig(t, worldOf('p', 'q'))).run(writing(['a', 'b'], {}, limited(3)))
  assert.match(named.reason ?? '', /would touch 4 resources and limits.resources is 3/)
})

test('a journal that names a place which the run has not, or one to which no configuration leads, undoes nothing there', async (t) => {
  const world = worldOf('p')
  const rig = await makeRig(t, world)
  const scopes = { server: 'p', database: 'p', resource: 'p' }
  const places = ['p', 'elsewhere'].map((place) => ({ place, endpoint: 'x', identity: { scopes, parts: { id: place } } })) // prettier-ignore
  const journal = await FileJournal.create(rig.file)
  const record = started({ install: rig.state.install, format: 2 })
  delete record.identity
  await journal.append({ ...record, places })
  for (const [step, place] of [
    [1, 'nowhere'],
    [2, 'elsewhere'],
  ] as const)
    // prettier-ignore
    await journal.append({
      ...planned(step),
      ...{ place, skill: 'fake.write', data: { key: 'a', value: '1', before: 'never' } },
    })
  await journal.close()
  const report = await turned(rig, rig.recover())
  assert.deepEqual(
    report.residue.map(({ error }) => error),
    ['the journal names no place "nowhere"', 'its configuration does not lead to elsewhere'],
  )
  assert.deepEqual([world.state, world.log.filter((call) => call.includes('revert'))], [START, []])
})

test('a place that has moved is where an operator says, if its identity is that of the place; his word for another system is not enough', async (t) => {
  const world = worldOf('p', 'q')
  const rig = await makeRig(t, world)
  for (const place of ['p', 'q']) world.on(`${place} revert a`, () => Promise.resolve())
  await turned(rig, rig.run(writing(['a'])))
  world.off('q revert a')
  // From now on p answers at an address of its own, as a system without a place.
  world.places = ['q']
  world.values.set('a', 'chaos by fake.write')
  world.parts = { id: 'another' }
  const target_config = { url: 'fake://moved', password: 'p' }
  const handOver = { target_config, accept_identity: true }
  const refused = await turned(rig, rig.recover({ handOver }))
  assert.match(
    refused.residue.map(({ error }) => error).join(),
    /^fake:\/\/moved is not the system that run r1 changed/,
  )
  assert.deepEqual([world.values.get('a'), world.values.get('q:a')], ['chaos by fake.write', '3'])
  world.parts = { id: 'p' }
  assert.deepEqual((await turned(rig, rig.recover({ handOver: { target_config } }))).residue, [])
  assert.equal(world.values.get('a'), '1')
})

test('an undo that has killed its worker is tried when the other places are done, with none beside it', async (t) => {
  const world = worldOf('p', 'q', 'r')
  const rig = await makeRig(t, world)
  for (const place of ['p', 'q', 'r']) world.on(`${place} revert a`, () => Promise.resolve())
  await turned(rig, rig.run(writing(['a'])))
  const journal = await rig.state.runs.resume('r1')
  await journal.append({ type: 'undo.started', step: 1, boot: 'b' })
  await journal.close()
  for (const place of ['p', 'q', 'r']) world.off(`${place} revert a`)
  world.log.length = 0
  await turned(rig, rig.recover({ boot: 'b' }))
  const reverts = world.log.filter((call) => / revert a$/.test(call))
  assert.deepEqual([reverts.at(-1), reverts.length], ['p revert a', 3])
})

test('runs that meet on a system are undone there in the order in which they may begin, and elsewhere at once', async (t) => {
  {
    const free = ['p']
    const world = worldOf('p', 'q')
    const rig = await makeRig(t, world)
    for (const place of ['p', 'q']) world.on(`${place} revert a`, () => Promise.resolve())
    await turned(rig, rig.run(writing(['a'])))
    for (const place of ['p', 'q']) world.off(`${place} revert a`)
    const open = deferred()
    const left: string[] = []
    const recovering = recoverRun({
      ...{ ...rig.state, run: 'r1', target: fakeTarget(world), clock: rig.clock, noProgressMs: 30_000 },
      ...{ targetConfigs: [{ url: 'fake://one', password: 'p' }], signal: new AbortController().signal },
      emit: (event) => void rig.events.push(event),
      begin: async (system) => {
        if (!free.includes(system)) await open.promise
        return () => void left.push(system)
      },
    })
    while (!left.includes('p')) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual([world.state['p:a'], world.state['q:a']], ['1', 'chaos by fake.write'])
    open.resolve()
    const report = await turned(rig, recovering)
    assert.deepEqual([report.residue, left, world.state], [[], ['p', 'q'], START])
  }
})

function deferred(): { promise: Promise<void>; resolve(): void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}
