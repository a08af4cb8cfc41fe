/** Journals of every format and skill that was ever written are read and recovered by this version. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/core/clock.ts'
import type { Inspection } from '../../src/core/skill.ts'
import { stepOf } from '../../src/core/target.ts'
import type { Agent, ConnectOptions, Target } from '../../src/core/target.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps, placesOf } from '../../src/journal/journal.ts'
import type { RunState } from '../../src/journal/journal.ts'
import { partFile, partsOf } from '../../src/journal/parts.ts'
import { nodeDisk } from '../../src/journal/disk.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { connectApplication } from '../../src/targets/application/agent.ts'
import { applicationClient } from '../../src/targets/application/client.ts'
import { config } from '../../src/targets/application/config.ts'
import { application } from '../../src/targets/application/index.ts'
import { targets } from '../../src/targets/index.ts'
import { FakeApplication } from '../fakes/application.ts'
import { FakeWorld, fakeTarget } from '../fakes/agent.ts'
import { FakeClock } from '../fakes/clock.ts'
import { linesOf } from '../../src/journal/lines.ts'
import { temporaryFolder } from '../journal/helpers.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const formats = readdirSync(HERE).filter((name) => name.startsWith('format-'))
const journals = formats.flatMap((format) =>
  readdirSync(join(HERE, format))
    .filter((name) => !/\.\d\.jsonl$/.test(name))
    .map((name) => join(HERE, format, name)),
)

for (const golden of journals) {
  test(`the golden journal ${basename(golden)} is recovered: every step is what its skill still understands, and the run ends`, async (t) => {
    const read = await readJournal(golden)
    const { started } = read
    assert.ok(started && pendingSteps(read).length > 0 && read.damage.length === 0)
    const state = await openStateDir(join(temporaryFolder(t), 'state'))
    for (const part of await partsOf(golden, nodeDisk))
      copyFileSync(partFile(golden, part), partFile(state.runs.where(started.run), part))
    const undone: string[] = []
    const report = await recoverRun({
      ...{ ...state, run: started.run, target: understanding(read, undone), targetConfigs: [{}], noProgressMs: 1000 },
      ...{ clock: new FakeClock(), signal: new AbortController().signal, emit: () => undefined },
    })
    assert.deepEqual(report.residue, [])
    // Places are undone side by side, each of them last first.
    for (const { place } of placesOf(started)) {
      const marks = pendingSteps(read).flatMap((step) => (step.place === place ? [step.mark] : []))
      assert.deepEqual(
        undone.filter((mark) => marks.includes(mark)),
        marks.reverse(),
      )
    }
    assert.equal(undone.length, pendingSteps(read).length)
    assert.deepEqual(await state.runs.list(), [])
  })
}

for (const golden of journals.filter((file) => basename(file).startsWith('app.'))) {
  test(`the golden journal ${basename(golden)} ends its faults in a running application, which is healthy then`, async (t) => {
    const app = new FakeApplication()
    t.after(() => app.stop())
    const { chaos, connection } = await app.start('one')
    await app.start('two')
    const healthy = await app.snapshot()
    const read = await readJournal(golden)
    const { run, install } = read.started!
    const folder = join(temporaryFolder(t), 'state')
    mkdirSync(folder, { mode: 0o700 })
    // A folder that is moved keeps who it is.
    writeFileSync(join(folder, 'install'), `${install}\n`, { mode: 0o600 })
    const state = await openStateDir(folder)
    copyFileSync(golden, state.runs.where(run))
    const { lease_ms: lease } = z.object({ lease_ms: z.number() }).parse(await state.runs.load(run, read.steps[0]!))
    // As it was when the journal ended, on one of two instances.
    const client = applicationClient(config.parse(app.config))
    const signal = AbortSignal.timeout(60_000)
    for (const step of read.steps) {
      const { component, fault, seed } = stepShape.parse(await state.runs.load(run, step))
      const grant = { mark: step.mark, faults: [fault as FaultConfig], components: [component], lease_ms: lease, seed }
      await client.grant(connection.address, grant, signal)
    }
    assert.ok(chaos.on)
    assert.notDeepEqual(await app.snapshot(), healthy)
    const report = await recoverRun({
      ...{ ...state, run, targetConfigs: [app.config], noProgressMs: 10_000, clock: systemClock, signal },
      // It listens elsewhere: a copy of the application that the journal is about.
      target: { ...application, connect: (_, options) => connectTo(app, options, read) },
      emit: () => undefined,
    })
    assert.deepEqual([report.residue, report.steps.map((s) => s.state)], [[], ['reverted', 'reverted']])
    // What had the fault then is another process, which is gone.
    assert.ok(report.steps.every((s) => s.kept === 1 && s.observed?.missing === 1))
    assert.deepEqual(await app.snapshot(), healthy)
    assert.deepEqual(await state.runs.list(), [])
  })
}

test('there is a golden journal of every skill and version of its step, and of every type of record that is written', async () => {
  const types = new Set<string>()
  const skills = new Set<string>()
  for (const golden of journals) {
    for (const part of await partsOf(golden, nodeDisk)) {
      for await (const { bytes } of linesOf(partFile(golden, part), nodeDisk)) {
        const record = JSON.parse(bytes.toString().replace(/^\d+ \w+ \w+ \d+ /, '')) as Written
        types.add(record.type)
        if (record.skill !== undefined) skills.add(`${record.skill} ${record.version ?? 0}`)
      }
    }
  }
  assert.deepEqual(
    targets.flatMap((target) => target.skills.map((s) => `${s.name} ${s.version}`)).filter((name) => !skills.has(name)),
    [],
  )
  // Not here: run.finished, whose journal is gone, and what is only reserved.
  for (const type of [
    'run.started',
    'run.continued',
    'step.planned',
    'step.recorded',
    'step.applied',
    'step.failed',
    'step.skipped',
  ])
    assert.ok(types.has(type), type)
  for (const type of ['undo.started', 'undo.progress', 'step.reverted', 'step.revert_failed'])
    assert.ok(types.has(type), type)
})

interface Written {
  type: string
  skill?: string
  version?: number
}

const stepShape = z.object({ component: z.string(), fault: z.unknown(), seed: z.string() })

async function connectTo(app: FakeApplication, options: ConnectOptions, { started }: RunState): Promise<Agent> {
  const agent = await connectApplication(config.parse(app.config), application.skills as never, options)
  return { ...agent, identity: () => Promise.resolve(started!.identity!) }
}

/** The target of a journal, as far as it goes without one: the real schemas of the steps, and an undo that succeeds. */
function understanding({ started }: RunState, undone: string[]): Target {
  const skills = [...targets.flatMap((target) => target.skills), ...fakeTarget(new FakeWorld()).skills]
  const parse = (name: string, step: unknown, version: number): void => {
    const skill = skills.find((s) => s.name === name)
    assert.ok(skill, `${name} is known`)
    stepOf(skill, step, version)
  }
  const places = placesOf(started!)
  const agent: Partial<Agent> = {
    quiesce: () => Promise.resolve(),
    sweep: () => Promise.resolve([]),
    revert(skill, step, { mark, version }) {
      parse(skill, step, version)
      undone.push(mark)
      return Promise.resolve()
    },
    inspect(skill, step, { version }) {
      parse(skill, step, version)
      return Promise.resolve({ inEffect: 0, restored: 1, foreign: 0 } satisfies Inspection)
    },
    close: () => Promise.resolve(),
  }
  return {
    ...fakeTarget(new FakeWorld()),
    config: { safeParse: (data: unknown) => ({ success: true, data }) } as unknown as Target['config'],
    endpoint: () => ({ key: started!.endpoint, names: [] }),
    places: {
      list: () => Promise.resolve([]),
      at: (_config, id) => ({ id, endpoint: { key: id, names: [] }, config: { place: id } }),
    },
    connect: (config) => {
      const { place = '' } = config as { place?: string }
      const { identity } = places.find((one) => one.place === place)!
      return Promise.resolve({ ...agent, identity: () => Promise.resolve(identity) } as Agent)
    },
  }
}
