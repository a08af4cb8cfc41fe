/**
 * The supervisor: owns the state folder, starts a worker per run, hands out claims, and sends a recovery worker after
 * every worker that died. It loads no driver and opens no connection to a target.
 */
import type { Clock } from '../core/clock.ts'
import { CodedError, messageOf } from '../core/errors.ts'
import type { ChaosEvent, DaemonEvent } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { Target } from '../core/target.ts'
import { until } from '../core/until.ts'
import { atMost } from '../core/within.ts'
import { leadsToRun } from '../engine/of-run.ts'
import type { HandOver } from '../engine/recover.ts'
import { emptyState, notRead } from '../journal/read-journal.ts'
import { placesOf } from '../journal/journal.ts'
import type { PlaceStarted, RunState } from '../journal/journal.ts'
import { mintRun } from '../journal/state-dir.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { BlockedRuns, damagedStart, isClean, openRuns, runOf, whyNotClean } from './blocked.ts'
import type { Blocked } from './blocked.ts'
import { Claims } from './claims.ts'
import type { StateLock } from './lock.ts'
import { lostReport } from './lost-report.ts'
import { Looks } from './read-only-jobs.ts'
import type { Job, Result, ToWorker } from './protocol.ts'
import { RecoveryOrder } from './recovery-order.ts'
import { startWorker } from './worker-process.ts'
import type { WorkerHandle, WorkerOptions } from './worker-process.ts'

export interface SupervisorOptions {
  state: StateDir
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

/** `handOver` goes with `only`: it is a word about that one run. */
export interface RecoverOptions {
  noProgressMs: number
  only?: string
  handOver?: HandOver
}

/** A run that has planned and is about to begin. */
export interface Admission {
  run: string
  experiment: string
  places: readonly PlaceStarted[]
}

/** How long the kernel may take to end a killed worker. */
const KILL_MS = 5_000

/** Milliseconds between two looks at what is still running. */
const LOOKS = [20, 100] as const

/** Longest wait for a claim that another run holds. */
const CLAIM_WAIT_MS = 60 * 60_000

export class Supervisor {
  /** What needs a worker, but neither claims nor a journal. */
  readonly looks: Looks
  readonly #options: SupervisorOptions
  readonly #claims = new Claims()
  readonly #workers = new Map<string, WorkerHandle>()
  readonly #blocked = new BlockedRuns()
  readonly #recovering = new Map<string, Promise<Report | undefined>>()
  #admit: (run: Admission) => Promise<string | undefined> = () => Promise.resolve(undefined)
  #stopping: string | undefined
  /** Calls of recoverAll that are under way: between its workers, too, there is something to wait for. */
  #rounds = 0
  /** The deadline of stop() has passed: nothing is begun any more, not even an undo. */
  #over = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    const { state, clock } = options
    this.looks = new Looks({ state, clock, work: (job) => this.#work(job, noClaims) })
  }

  /** Runs that are not clean; their targets are refused to new runs. */
  get blocked(): readonly Blocked[] {
    return this.#blocked.list
  }

  get running(): readonly string[] {
    return [...this.#workers.keys()]
  }

  /** Asked of every run that has planned: why it may not change the system that it has found, or undefined. */
  admitBy(admit: (run: Admission) => Promise<string | undefined>): void {
    this.#admit = admit
  }

  /** Runs one experiment in a worker of its own. Resolves with its report; a worker that dies is recovered first. */
  async run(experiment: Experiment, options: { run?: string; seed?: string; wait: 'queue' | 'skip' }): Promise<Report> {
    const { state, clock } = this.#options
    const run = options.run ?? mintRun(clock.now())
    const startedAt = new Date(clock.now()).toISOString()
    const seed = options.seed ?? run
    try {
      if (this.#stopping !== undefined) throw new CodedError('ABORTED', this.#stopping)
      const endpoint = this.endpointOf(experiment)
      this.#blocked.refuse(endpoint)
      const result = await this.#work({ kind: 'run', run, state_dir: state.path, experiment, seed }, (keys, places) =>
        this.#claim({ run, experiment: experiment.name, places }, keys, options.wait),
      )
      if (result.kind === 'report') {
        if (!isClean(result.report)) await this.#block(run, whyNotClean(result.report))
        return result.report
      }
      throw new CodedError('WORKER_LOST', 'the worker answered something else than a report')
    } catch (error) {
      return await this.#afterLoss(run, experiment, seed, startedAt, error)
    } finally {
      this.#claims.release(run)
    }
  }

  /** Why a run of the experiment would be refused before it connects: an earlier run on its target is not undone. */
  refusal(experiment: Experiment): string | undefined {
    try {
      this.#blocked.refuse(this.endpointOf(experiment))
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }

  /** Tells a run to undo and end. False when there is none of that name, or when it is being recovered: that is its end. */
  abort(run: string, reason: string): boolean {
    const worker = this.#recovering.has(run) ? undefined : this.#workers.get(run)
    worker?.abort(reason)
    return worker !== undefined
  }

  /**
   * One round over every open run: systems side by side, the runs of one system newest first. Returns the reports of the
   * runs it could work on; what is not clean afterwards is in `blocked`.
   */
  async recoverAll(options: RecoverOptions): Promise<Report[]> {
    this.#rounds += 1
    try {
      return await this.#recoverOpen(options)
    } finally {
      this.#rounds -= 1
    }
  }

  /** Aborts every run, which then ends by undoing; recoveries go on. Returns when all are over, or kills them at the deadline. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    const { clock } = this.#options
    this.#stopping = reason
    for (const [run, worker] of this.#workers) if (!this.#recovering.has(run)) worker.abort(reason)
    await until(() => this.#workers.size + this.#rounds === 0, { clock, ms: deadlineMs, pauses: LOOKS })
    // The journal is intact: the next start finishes what these could not.
    this.#over = true
    for (const worker of this.#workers.values()) worker.kill()
    await until(() => this.#workers.size === 0, { clock, ms: KILL_MS, pauses: LOOKS })
  }

  /** Removes the reports of runs that ended so many days ago. */
  pruneHistory(days: number): Promise<void> {
    return this.#options.state.prune(days * 86_400_000, this.#options.clock.now())
  }

  async #recoverOpen(options: RecoverOptions): Promise<Report[]> {
    if (this.#workers.size === 0) await this.#options.state.forgetLostSecrets().catch(() => undefined)
    const all = await this.#openRuns()
    const over = (run: string): boolean => !this.#recovering.has(run) && !all.some((s) => runOf(s) === run)
    // Its journal is gone: somebody has moved it away, or has said that its loss is accepted.
    for (const { run } of this.#blocked.list) if (over(run)) this.#blocked.delete(run)
    const open = all.filter((s) => options.only === undefined || runOf(s) === options.only)
    if (open.length === 0) return []
    this.tell({ type: 'recovery.started', runs: open.map(runOf) })
    for (const state of open) this.#blocked.set(state, this.#blocked.get(runOf(state))?.reason ?? 'it is being undone')
    const reports = await this.#recoverInTurn(open.reverse(), options)
    const pending = this.#blocked.size
    this.tell({ type: 'recovery.finished', clean: reports.filter(isClean).length, pending })
    return reports
  }

  async #work(
    job: Job,
    onClaim: WorkerOptions['onClaim'],
    turns: Pick<WorkerOptions, 'onBegin' | 'onLeft'> = {},
  ): Promise<Result> {
    const worker = await (this.#options.startWorker ?? startWorker)({
      main: this.#options.main,
      lock: this.#options.lock,
      job,
      onEvent: (event) => this.#options.emit(event),
      onClaim,
      ...turns,
    })
    this.#workers.set(job.run, worker)
    if (this.#stopping !== undefined && !this.#recovering.has(job.run)) worker.abort(this.#stopping)
    try {
      return await worker.result
    } finally {
      this.#workers.delete(job.run)
    }
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
    if (lost) this.tell({ type: 'worker.lost', run, detail: messageOf(error) })
    const [recovered] = await this.recoverAll({ noProgressMs: 30_000, only: run }).catch(async (failure: unknown) => {
      this.tell({ type: 'warning', message: `run ${run} is not undone yet: ${messageOf(failure)}` })
      if (lost) await this.#block(run, messageOf(failure), false)
      return []
    })
    if (recovered) return recovered
    const blocked = this.#blocked.get(run)
    // It may have died after it had put everything back and said so.
    const written = blocked ? undefined : await state.report(run).catch(() => undefined)
    if (written) return written
    const stopped = this.#stopping !== undefined
    const endpoint = this.endpointOf(experiment)
    const finishedAt = new Date(clock.now()).toISOString()
    const report = lostReport({ run, experiment, endpoint, seed, startedAt, finishedAt, error, lost, blocked, stopped })
    await state.writeReport(report).catch(() => undefined)
    this.#options.emit({ type: 'run.finished', report, run, at: report.finished_at })
    return report
  }

  #openRuns(): Promise<RunState[]> {
    const warn = (message: string): void => this.tell({ type: 'warning', message })
    const workOn = (run: string) => (this.#recovering.has(run) ? 'undo' : this.#workers.has(run) ? 'run' : undefined)
    return openRuns(this.#options.state, workOn, warn)
  }

  /** `open`: newest first. A run begins when it is its turn on one of its systems, and waits for the others by itself. */
  async #recoverInTurn(open: readonly RunState[], options: RecoverOptions): Promise<Report[]> {
    const runs = open.map((state) => ({ state, run: runOf(state), systems: systemsOf(state) }))
    const order = new RecoveryOrder(runs)
    const reports = await Promise.all(
      runs.map(async ({ state, run, systems }) => {
        await order.wait(run, systems)
        try {
          return await this.#recoverOnce(state, options, order)
        } finally {
          order.leave(run)
        }
      }),
    )
    return reports.filter((report) => report !== undefined)
  }

  /** One recovery of a run at a time: two workers would write the same journal. */
  #recoverOnce(state: RunState, options: RecoverOptions, order: RecoveryOrder): Promise<Report | undefined> {
    const run = runOf(state)
    const begun = this.#recovering.get(run)
    if (begun && options.handOver === undefined) return begun
    // What an operator has decided is tried after an attempt that does not know of it.
    const recovering = (begun ?? Promise.resolve())
      .then(() => this.#recover(state, options, order))
      .finally(() => {
        if (this.#recovering.get(run) === recovering) this.#recovering.delete(run)
      })
    this.#recovering.set(run, recovering)
    return recovering
  }

  async #recover(state: RunState, options: RecoverOptions, order: RecoveryOrder): Promise<Report | undefined> {
    const run = runOf(state)
    try {
      if (this.#over) throw new CodedError('ABORTED', this.#stopping ?? 'stopped')
      if (!state.started) throw damagedStart(state)
      const result = await this.#work(await this.#recoverJob(state.started, options), noClaims, {
        onBegin: (system) => order.wait(run, [system]),
        onLeft: (system) => order.leave(run, system),
      })
      if (result.kind !== 'report') return undefined
      if (isClean(result.report)) this.#blocked.delete(run)
      else await this.#block(run, whyNotClean(result.report))
      return result.report
    } catch (error) {
      await this.#block(run, messageOf(error), false)
      if (this.#blocked.has(run))
        this.tell({ type: 'warning', message: `run ${run} is not undone yet: ${messageOf(error)}` })
      return undefined
    }
  }

  async #recoverJob(started: NonNullable<RunState['started']>, options: RecoverOptions): Promise<Job> {
    const { run, experiment, target, endpoint } = started
    const current = this.#options.experiments().find((e) => e.name === experiment && e.target === target)
    let lost = 'the stored one is gone'
    const kept = await this.#options.state.secret(run).catch((error: unknown) => void (lost = messageOf(error)))
    const where = this.#options.targets.find((t) => t.name === target)
    const leadsThere = kept === undefined || !where || leadsToRun(started, where, kept)
    if (!leadsThere) lost = 'the stored one leads elsewhere, and nothing is sent there'
    const configs = [current?.target_config, leadsThere ? kept : undefined].filter((config) => config !== undefined)
    if (configs.length === 0 && options.handOver === undefined) {
      throw new CodedError(
        'TARGET_UNREACHABLE',
        `no configuration for ${endpoint}: experiment ${experiment} is not configured, and ${lost}. chaos recover --run ${run} --target-config FILE says where it is`,
      )
    }
    return {
      kind: 'recover',
      run,
      state_dir: this.#options.state.path,
      target,
      target_configs: configs,
      no_progress_ms: options.noProgressMs,
      ...(options.handOver === undefined ? {} : { hand_over: options.handOver }),
    }
  }

  /** Unless its journal is gone: then it is clean after all. Where that cannot be read, nothing is known to be free of it. */
  async #block(run: string, reason: string, seen = true): Promise<void> {
    try {
      const state = (await this.#openRuns()).find((s) => runOf(s) === run)
      if (state) this.#blocked.set(state, reason, seen)
      else this.#blocked.delete(run)
    } catch (error) {
      const file = this.#options.state.journalFile(run)
      this.#blocked.set({ ...emptyState(file), damage: [notRead(error, file)] }, reason)
    }
  }

  async #claim(admission: Admission, keys: string[], wait: 'queue' | 'skip'): Promise<ToWorker> {
    const { run, places } = admission
    try {
      const systems = places.map(({ identity }) => identity.parts)
      this.#blocked.refuse('', systems, keys)
    } catch (error) {
      return { type: 'refused', code: 'BLOCKED_BY_RESIDUE', message: messageOf(error) }
    }
    const unknown = await this.#admit(admission)
    if (unknown !== undefined) return { type: 'refused', code: 'REFUSED_UNTRUSTED', message: unknown }
    const taken = this.#claims.take(run, keys)
    if (taken.granted) return { type: 'claimed', waited: false }
    const busy = `${taken.key} is in use by run ${taken.by}`
    if (wait === 'skip') return { type: 'refused', code: 'REFUSED_CLAIMED', message: busy }
    this.#options.emit({
      type: 'run.phase',
      phase: 'claim',
      detail: `waits: ${busy}`,
      run,
      at: new Date(this.#options.clock.now()).toISOString(),
    })
    const outcome = await atMost(
      { ms: CLAIM_WAIT_MS, clock: this.#options.clock },
      () => this.#claims.wait(run, keys),
      () => 'late' as const,
    )
    if (outcome === 'released') return { type: 'claimed', waited: true }
    return { type: 'refused', code: 'REFUSED_CLAIMED', message: `${busy}, and it did not end in time` }
  }

  /** Where it points, without credentials. */
  endpointOf(experiment: Experiment): string {
    return this.#options.targets.find((t) => t.name === experiment.target)?.endpoint(experiment.target_config).key ?? ''
  }

  /** Sends an event with its time to the sinks. */
  tell(event: DistributiveOmit<DaemonEvent, 'at'>): void {
    this.#options.emit({ ...event, at: new Date(this.#options.clock.now()).toISOString() })
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** Where runs get into each other's way; one that does not say where it was is alone. */
function systemsOf({ started, file }: RunState): string[] {
  return started ? [...new Set(placesOf(started).map(({ identity }) => identity.scopes.server))] : [file]
}

/** For workers that begin nothing. */
function noClaims(): Promise<ToWorker> {
  return Promise.resolve({ type: 'refused', code: 'REFUSED_CLAIMED', message: 'only a run takes claims' })
}
