/** Runs of the real engine on a simulated disk, against a target in memory that forgets nothing in a power cut. */
import { CodedError, JournalError, messageOf } from '../../src/core/errors.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { forgetRun, forgetLostSecrets } from '../../src/journal/forget.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { FakeWorld, fakeTarget } from '../fakes/agent.ts'
import type { Call } from '../fakes/agent.ts'
import { FakeClock } from '../fakes/clock.ts'
import type { Disk } from '../../src/journal/disk.ts'

export const STATE = '/state'
/** Room for all records of the undos below, as 4 MiB are for those of thousands of steps. */
export const BALLAST = 6144
/** Those with a name in front are on a place of their own, where a scenario has places. */
export const START = { a: '1', b: '2', c: '3', d: '4', e: '5', 'p:a': '6', 'q:a': '7' }

/** Calls `before` ahead of and `after` every change of the target. */
export class WatchedWorld extends FakeWorld {
  look: () => void = () => undefined

  override async call(...args: Parameters<FakeWorld['call']>): ReturnType<FakeWorld['call']> {
    this.look()
    const [name, call, go] = args
    const seen = async (): Promise<void> => {
      await go()
      this.look()
    }
    return super.call(name, call, seen)
  }
}

/** A state folder that is there already: its first making is not what is tested. */
export async function prepare(disk: Disk): Promise<void> {
  for (const folder of ['/', STATE]) await disk.mkdir(folder)
  const file = await disk.open(`${STATE}/install`, 'create')
  await file.write(Buffer.from('abcdef\n'), 0)
  await file.datasync()
  await disk.syncFolder(STATE)
  await open(disk, STATE)
}

function open(disk: Disk, path: string): Promise<StateDir> {
  return openStateDir(path, { disk, ballastBytes: BALLAST })
}

/** One run, as a worker does it. */
export async function runOn(
  disk: Disk,
  world: FakeWorld,
  run: string,
  experiment: Experiment,
  path = STATE,
): Promise<Report> {
  return runExperiment({
    ...{ experiment, run, target: fakeTarget(world), ...(await open(disk, path)), clock: new FakeClock(), seed: 's' },
    signal: new AbortController().signal,
    emit: () => undefined,
    claim: () => Promise.resolve({ waited: false }),
  })
}

export interface Recovered {
  /** Journals that are still open afterwards, and why. */
  open: { run: string; reason: string }[]
  reports: Report[]
}

/** One round of recovery over everything that is open, newest first, by the supervisor's rules. */
export async function recoverOn(
  disk: Disk,
  world: FakeWorld,
  target = fakeTarget(world),
  path = STATE,
): Promise<Recovered> {
  const state = await open(disk, path)
  await forgetLostSecrets(state)
  const out: Recovered = { open: [], reports: [] }
  for (const journal of (await state.runs.list()).reverse()) {
    const { run } = journal
    const nothing = !journal.started && journal.steps.length === 0 && journal.damage.length === 0
    if (nothing || (journal.finished && pendingSteps(journal).length === 0)) {
      await forgetRun(state, run)
      continue
    }
    try {
      if (!journal.started) throw new JournalError('JOURNAL_READ', `no start: ${journal.damage[0]?.reason ?? ''}`)
      // The operator's shell has no password: only what was kept can be used.
      const secret = await state.secrets.read(run)
      if (secret === undefined) throw new CodedError('TARGET_UNREACHABLE', 'the stored configuration is gone')
      const report = await recoverRun({
        ...{ ...state, run, target, targetConfigs: [secret], clock: new FakeClock() },
        ...{ signal: new AbortController().signal, noProgressMs: 1_000, emit: () => undefined },
      })
      out.reports.push(report)
    } catch (error) {
      out.open.push({ run, reason: messageOf(error) })
    }
  }
  for (const { run, damage } of await state.runs.list()) {
    if (!out.open.some((one) => one.run === run)) out.open.push({ run, reason: damage[0]?.reason ?? 'not finished' })
  }
  return out
}

/** What is still changed on the target. */
export function effectsOf(world: FakeWorld, start: Record<string, string> = START): string[] {
  const keys = new Set([...Object.keys(start), ...world.values.keys()])
  return [...keys]
    .filter((key) => world.values.get(key) !== start[key])
    .map((key) => `${key}=${world.values.get(key) ?? ''}`)
}

export type { Call }
