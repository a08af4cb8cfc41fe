/**
 * The supervisor: owns the state folder, starts a worker per run, and sends a recovery worker after every worker that
 * died. It loads no driver and opens no connection to a target.
 */
import type { Clock } from '../core/clock.ts'
import { CodedError, messageOf } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { Target } from '../core/target.ts'
import { until } from '../core/until.ts'
import { pruneState } from '../journal/forget.ts'
import { mintRun } from '../journal/names.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { Admissions, noClaims } from './admission.ts'
import type { Admission } from './admission.ts'
import { BlockedRuns, isClean, whyNotClean, whyOf } from './blocked.ts'
import type { Blocked } from './blocked.ts'
import type { Claims } from './claims.ts'
import type { StateLock } from './lock.ts'
import { lostReport } from './lost-report.ts'
import { Looks } from './read-only-jobs.ts'
import { notUndone, Recoveries } from './recoveries.ts'
import type { RecoverOptions } from './recoveries.ts'
import type { Tell } from './tell.ts'
import { startWorker } from './worker-process.ts'
import { Workers } from './workers.ts'

export interface SupervisorOptions {
  state: StateDir
  claims: Claims
  lock: StateLock
  /** The script to run workers with. */
  main: string
  targets: readonly Target[]
  clock: Clock
  emit(event: ChaosEvent): void
  /** How its workers are started: as processes of `main` unless said otherwise. */
  startWorker?: typeof startWorker
  /** The experiments of the configuration as it is now: where a recovery finds a rotated password. */
  experiments(): readonly Experiment[]
}

/** How long the kernel may take to end a killed worker. */
const KILL_MS = 5_000

/** Milliseconds between two looks at what is still running. */
const LOOKS = [20, 100] as const

export class Supervisor {
  /** What needs a worker, but neither claims nor a journal. */
  readonly looks: Looks
  readonly #options: SupervisorOptions
  readonly #workers: Workers
  readonly #blocked = new BlockedRuns()
  readonly #admissions: Admissions
  readonly #recoveries: Recoveries
  #stopping: string | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    const { state, claims, clock, main, lock, targets } = options
    const emit = (event: ChaosEvent): void => options.emit(event)
    const blocked = this.#blocked
    const workers = new Workers({ main, lock, emit, startWorker: options.startWorker ?? startWorker })
    this.#workers = workers
    this.#admissions = new Admissions({ claims, blocked, clock, emit })
    this.#recoveries = new Recoveries({
      ...{ stateDir: state.path, runs: state.runs, secrets: state.secrets, workers, blocked, targets },
      experiments: () => options.experiments(),
      tell: (event) => this.tell(event),
    })
    this.looks = new Looks({ state, clock, work: (job) => workers.work(job, { onClaim: noClaims }) })
  }

  /** Runs that are not clean; their targets are refused to new runs. */
  get blocked(): readonly Blocked[] {
    return this.#blocked.list
  }

  get running(): readonly string[] {
    return this.#workers.runs
  }

  /** Asked of every run that has planned: why it may not change the system that it has found, or undefined. */
  admitBy(admit: (run: Admission) => Promise<string | undefined>): void {
    this.#admissions.admitBy(admit)
  }

  /** Runs one experiment in a worker of its own. Resolves with its report; a worker that dies is recovered first. */
  async run(experiment: Experiment, options: { run?: string; seed?: string; wait: 'queue' | 'skip' }): Promise<Report> {
    const { state, clock } = this.#options
    const run = options.run ?? mintRun(clock.now())
    const startedAt = new Date(clock.now()).toISOString()
    const seed = options.seed ?? run
    try {
      if (this.#stopping !== undefined) throw new CodedError('ABORTED', this.#stopping)
      this.#blocked.refuse(this.endpointOf(experiment))
      const result = await this.#workers.work(
        { kind: 'run', run, state_dir: state.path, experiment, seed },
        {
          onClaim: (keys, places) =>
            this.#admissions.claim({ run, experiment: experiment.name, places }, keys, options.wait),
        },
      )
      if (result.kind === 'report') {
        if (!isClean(result.report)) await this.#recoveries.block(run, whyNotClean(result.report))
        return result.report
      }
      throw new CodedError('WORKER_LOST', 'the worker answered something else than a report')
    } catch (error) {
      return await this.#afterLoss(run, experiment, seed, startedAt, error)
    } finally {
      await this.#release(run)
    }
  }

  /** Why a run of the experiment would be refused before it connects: an earlier run on its target is not undone. */
  refusal(experiment: Experiment): CodedError | undefined {
    try {
      this.#blocked.refuse(this.endpointOf(experiment))
      return undefined
    } catch (error) {
      return error as CodedError
    }
  }

  /** Tells a run to undo and end. False when there is none of that name, or when it is being recovered: that is its end. */
  abort(run: string, reason: string): boolean {
    return this.#workers.abort(run, reason)
  }

  /**
   * One round over every open run: systems side by side, the runs of one system newest first. Returns the reports of the
   * runs it could work on; what is not clean afterwards is in `blocked`.
   */
  recoverAll(options: RecoverOptions): Promise<Report[]> {
    return this.#recoveries.round(options)
  }

  /** Aborts every run, which then ends by undoing; recoveries go on. Returns when all are over, or kills them at the deadline. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    const { clock } = this.#options
    this.#stopping = reason
    this.#workers.abortAll(reason)
    const nobody = (): boolean => this.running.length === 0
    await until(() => nobody() && this.#recoveries.idle, { clock, ms: deadlineMs, pauses: LOOKS })
    // The journal is intact: the next start finishes what these could not.
    this.#recoveries.end(reason)
    this.#workers.killAll()
    await until(nobody, { clock, ms: KILL_MS, pauses: LOOKS })
  }

  /** Removes the reports of runs that ended so many days ago. */
  pruneHistory(days: number): Promise<void> {
    return pruneState(this.#options.state, days * 86_400_000, this.#options.clock.now())
  }

  /** Where it points, without credentials. */
  endpointOf(experiment: Experiment): string {
    return this.#options.targets.find((t) => t.name === experiment.target)?.endpoint(experiment.target_config).key ?? ''
  }

  /** Sends an event with its time to the sinks. */
  tell(event: Parameters<Tell>[0]): void {
    this.#options.emit({ ...event, at: new Date(this.#options.clock.now()).toISOString() })
  }

  /** The worker died or failed without a report: whatever it left in the journal is undone by another one, at once. */
  async #afterLoss(
    run: string,
    experiment: Experiment,
    seed: string,
    startedAt: string,
    error: unknown,
  ): Promise<Report> {
    const { state, clock } = this.#options
    const lost = error instanceof CodedError && error.code === 'WORKER_LOST'
    if (lost)
      this.tell({ type: 'worker.lost', run, detail: messageOf(error), ...(error.about ? { about: error.about } : {}) })
    const [recovered] = await this.recoverAll({ noProgressMs: 30_000, only: run }).catch(async (failure: unknown) => {
      this.tell(notUndone(run, failure))
      if (lost) await this.#recoveries.block(run, whyOf(failure), false)
      return []
    })
    if (recovered) return recovered
    const blocked = this.#blocked.get(run)
    // It may have died after it had put everything back and said so.
    const written = blocked ? undefined : await state.history.read(run).catch(() => undefined)
    if (written) return written
    const stopped = this.#stopping !== undefined
    const endpoint = this.endpointOf(experiment)
    const finishedAt = new Date(clock.now()).toISOString()
    const report = lostReport({ run, experiment, endpoint, seed, startedAt, finishedAt, error, lost, blocked, stopped })
    await state.history.keep(report).catch(() => undefined)
    this.#options.emit({ type: 'run.finished', report, run, at: report.finished_at })
    return report
  }

  /** What cannot be given back is told: the report of the run counts all the same. */
  async #release(run: string): Promise<void> {
    await this.#admissions.release(run).catch((error: unknown) => {
      const message = `the claims of run ${run} are not given back: ${messageOf(error)}`
      this.tell({ type: 'warning', code: 'claims', message, about: { run } })
    })
  }
}
