/** Workers inside the test's own process: the jobs of `supervisor/worker.ts`, done by the real engine in a life of their own. */
import { CodedError } from '../../src/core/errors.ts'
import type { EventBody } from '../../src/core/events.ts'
import type { Report } from '../../src/core/report.ts'
import type { Agent, Target } from '../../src/core/target.ts'
import type { Job, Result } from '../../src/supervisor/protocol.ts'
import type { startWorker, WorkerOptions } from '../../src/supervisor/worker-process.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { diskOf, Life } from './life.ts'
import { modelTarget } from './target.ts'
import type { World } from './world.ts'
import { BALLAST, STATE } from '../crash/disk-world.ts'

/** Deliberate bugs, put between the engine and what it works with. */
export interface Bug {
  agent?(agent: Agent, job: Job): Agent
  state?(state: StateDir, job: Job): StateDir
  report?(report: Report): Report
  /** Claims are not asked for. */
  claimless?: true
  knows?: 'value' | 'nothing'
  lazy?: 'bytes' | 'names'
}

/** Starts workers for the supervisor that lives as long as `parent`. */
export function workersOf(world: World, parent: Life): typeof startWorker {
  return (options) => {
    const life = new Life()
    const abort = new AbortController()
    const stop = (reason: string): void => {
      if (!life.over) abort.abort(new CodedError('ABORTED', reason))
    }
    // As when the channel breaks.
    parent.onEnd(() => stop('the supervisor is gone'))
    world.workerBegins(options.job.run, life)
    const result = new Promise<Result>((resolve, reject) => {
      life.onEnd(() => reject(new CodedError('WORKER_LOST', 'the worker ended without a word (SIGKILL)')))
      doJob(JSON.parse(JSON.stringify(options.job)) as Job, { world, life, signal: abort.signal, parent, options })
        .then(resolve, (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))))
        .finally(() => life.end())
    })
    result.catch(() => undefined)
    return Promise.resolve({ result: parent.of(() => result), abort: stop, kill: () => life.end() })
  }
}

interface Place {
  world: World
  life: Life
  signal: AbortSignal
  parent: Life
  options: Omit<WorkerOptions, 'main'>
}

async function doJob(job: Job, { world, life, signal, parent, options }: Place): Promise<Result> {
  const { bug } = world
  const disk = diskOf(life, world.disk, () => world.tick(life))
  const opened = await openStateDir(STATE, { disk, ballastBytes: BALLAST })
  const state = bug.state?.(opened, job) ?? opened
  const clock = world.clock.of(life)
  const emit = (event: EventBody): void => {
    if (!parent.over && !life.over) options.onEvent({ ...event, at: new Date(clock.now()).toISOString(), run: job.run })
  }
  const target = modelTarget((url) => ({
    system: world.at(url),
    tick: async () => {
      await life.goOn()
      world.tick(life)
      await life.goOn()
    },
  }))
  const buggy: Target = {
    ...target,
    connect: async (config, more) => {
      const agent = await target.connect(config, more)
      return bug.agent?.(agent, job) ?? agent
    },
  }
  // Without a boot id no undo is given up, however many workers die of it.
  const common = { ...state, run: job.run, target: buggy, clock, signal, emit }
  let report: Report
  if (job.kind === 'run') {
    report = await runExperiment({
      ...{ ...common, experiment: job.experiment, seed: job.seed },
      async claim(keys, identity) {
        if (bug.claimless) return { waited: false }
        const gone = new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
          if (signal.aborted) reject(signal.reason as Error)
        })
        const answer = await Promise.race([parent.of(() => options.onClaim(keys, identity)), gone])
        if (answer.type === 'claimed') return { waited: answer.waited }
        throw answer.type === 'refused' ? new CodedError(answer.code, answer.message) : new Error(answer.type)
      },
    })
  } else if (job.kind === 'recover') {
    report = await recoverRun({
      ...{ ...common, targetConfigs: job.target_configs, noProgressMs: job.no_progress_ms },
      ...(job.hand_over === undefined ? {} : { handOver: job.hand_over }),
      async begin(system) {
        await parent.of(() => options.onBegin?.(system) ?? Promise.resolve())
        return () => options.onLeft?.(system)
      },
    })
  } else throw new Error(`the model has no ${job.kind}`)
  await life.goOn()
  const told = bug.report?.(report) ?? report
  world.judgeReport(told)
  return { kind: 'report', report: JSON.parse(JSON.stringify(told)) as Report }
}
