/** A run against the target in memory, with a state folder that goes with the test and a clock that the test turns. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { CodedError } from '../../src/core/errors.ts'
import type { EventBody } from '../../src/core/events.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import { Fleet } from '../../src/engine/fleet.ts'
import { planRun } from '../../src/engine/plan.ts'
import type { RunPlan } from '../../src/engine/plan.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import type { RecoverInput } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import type { RunInput } from '../../src/engine/run.ts'
import { nodeDisk } from '../../src/journal/disk.ts'
import type { Disk } from '../../src/journal/disk.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { decodeLine } from '../../src/journal/format.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { fakeTarget } from '../fakes/agent.ts'
import type { FakeWorld } from '../fakes/agent.ts'
import { FakeClock } from '../fakes/clock.ts'

export interface Rig {
  world: FakeWorld
  clock: FakeClock
  state: StateDir
  events: EventBody[]
  file: string
  abort(reason?: Error): void
  run(experiment: Experiment, more?: Partial<RunInput>): Promise<Report>
  recover(more?: Partial<RecoverInput>): Promise<Report>
  plan(experiment: Experiment, seed?: string): Promise<RunPlan>
  /** As `run`, with a disk of the test's under the state folder. */
  runOnDisk(experiment: Experiment, disk: Disk): Promise<Report>
  /** Types of the events, and of what. */
  told(): string[]
}

const RUN = 'r1'

export async function makeRig(t: TestContext, world: FakeWorld): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const state = await openStateDir(join(folder, 'state'))
  const clock = new FakeClock()
  const stop = new AbortController()
  const events: EventBody[] = []
  const target = fakeTarget(world)
  const emit = (event: EventBody): void => void events.push(event)
  const common = { ...state, run: RUN, target, clock, signal: stop.signal, emit }
  const file = state.runs.where(RUN)
  const connect = () => target.connect({}, { install: state.install, run: RUN, clock, signal: stop.signal })
  const plan: Rig['plan'] = async (experiment, seed = 's') => {
    const agent = await connect()
    const fleet = new Fleet([
      { place: '', endpoint: world.endpoint, agent, identity: await agent.identity(stop.signal) },
    ])
    return planRun({
      ...{ fleet, experiment, seed, run: RUN, install: state.install, skills: target.skills, signal: stop.signal },
      endpoint: target.endpoint(experiment.target_config),
      onPhase: () => undefined,
    })
  }
  return {
    ...{ world, clock, state, events, file, plan },
    abort: (reason = new CodedError('ABORTED', 'SIGTERM')) => stop.abort(reason),
    run: (experiment, more) =>
      runExperiment({ ...common, experiment, seed: 's', claim: () => Promise.resolve({ waited: false }), ...more }),
    recover: (more) =>
      recoverRun({
        ...{ ...common, signal: new AbortController().signal, noProgressMs: 30_000 },
        targetConfigs: [{ url: 'fake://one', password: 'p' }],
        ...more,
      }),
    async runOnDisk(experiment, disk) {
      const onDisk = await openStateDir(state.path, { disk })
      const claim = () => Promise.resolve({ waited: false })
      return runExperiment({ ...common, ...onDisk, experiment, seed: 's', claim })
    },
    told: () =>
      events.flatMap((e) => ('step' in e ? [`${e.type} ${e.step.resource}`] : e.type === 'run.phase' ? [e.phase] : [])),
  }
}

/** The records of a journal file, as they stand in it. */
export function recordsIn(file: string): (JournalRecord & { at: string })[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const decoded = decodeLine(Buffer.from(line))
      return decoded ? [JSON.parse(decoded.json) as JournalRecord & { at: string }] : []
    })
}

/** `step.planned 1`, `run.finished`… */
export function kindsIn(file: string): string[] {
  return recordsIn(file).map((r) => ('step' in r ? `${r.type} ${r.step}` : r.type))
}

export { nodeDisk }
