/**
 * The supervisor: owns the state folder, starts a worker per run, hands out claims, and sends a recovery worker after
 * every worker that died. It loads no driver and opens no connection to a target.
 */
import type { Clock } from '../core/clock.ts'
import { CodedError, ERROR_CODES, messageOf } from '../core/errors.ts'
import type { ChaosEvent, DaemonEvent, PlanView } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import { identityMismatch } from '../core/target.ts'
import type { Identity, Target } from '../core/target.ts'
import { Claims } from '../engine/claims.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { RunState } from '../journal/journal.ts'
import { mintRun } from '../journal/state-dir.ts'
import type { StateDir } from '../journal/state-dir.ts'
import type { StateLock } from './lock.ts'
import type { Job, Result, ToWorker } from './protocol.ts'
import { startWorker } from './worker-process.ts'
import type { WorkerHandle } from './worker-process.ts'

export interface SupervisorOptions {
  state: StateDir
  lock: StateLock
  /** The script to run workers with. */
  main: string
  targets: readonly Target[]
  clock: Clock
  emit(event: ChaosEvent): void
  /** The experiments of the configuration as it is now: where a recovery finds a rotated password. */
  experiments(): readonly Experiment[]
}

/** A run that is not clean, and why. */
export interface Blocked {
  run: string
  experiment: string
  endpoint: string
  identity: Identity['parts']
  pending: number
  reason: string
}

/** Longest wait for a claim that another run holds. */
const CLAIM_WAIT_MS = 60 * 60_000

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #claims = new Claims()
  readonly #workers = new Map<string, WorkerHandle>()
  readonly #blocked = new Map<string, Blocked>()
  #stopping: string | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  /** Runs that are not clean; their targets are refused to new runs. */
  get blocked(): readonly Blocked[] {
    return [...this.#blocked.values()]
  }

  get running(): readonly string[] {
    return [...this.#workers.keys()]
  }

  /** Runs one experiment in a worker of its own. Resolves with its report; a worker that dies is recovered first. */
  async run(experiment: Experiment, options: { seed?: string; wait: 'queue' | 'skip' }): Promise<Report> {
    const { state, clock } = this.#options
    const run = mintRun(clock.now())
    const startedAt = new Date(clock.now()).toISOString()
    const seed = options.seed ?? run
    try {
      if (this.#stopping !== undefined) throw new CodedError('ABORTED', this.#stopping)
      this.#refuseBlocked(this.#endpointOf(experiment))
      const result = await this.#work({ kind: 'run', run, state_dir: state.path, experiment, seed }, options.wait)
      if (result.kind === 'report') {
        if (result.report.residue.length > 0) await this.#block(run, result.report.residue[0]?.error ?? 'residue')
        return result.report
      }
      throw new CodedError('WORKER_LOST', 'the worker answered something else than a report')
    } catch (error) {
      return await this.#afterLoss(run, experiment, seed, startedAt, error)
    } finally {
      this.#claims.release(run)
    }
  }

  /** Connects, discovers and plans; changes nothing. */
  async preview(experiment: Experiment, seed: string): Promise<PlanView> {
    const { state, clock } = this.#options
    const result = await this.#work(
      { kind: 'preview', install: state.install, run: mintRun(clock.now()), experiment, seed },
      'skip',
    )
    if (result.kind === 'plan') return result.plan
    throw new CodedError('WORKER_LOST', 'the worker answered something else than a plan')
  }

  /**
   * One round over every open run: targets side by side, the runs of one target newest first. Returns the reports of the
   * runs it could work on; what is not clean afterwards is in `blocked`.
   */
  async recoverAll(options: { noProgressMs: number; only?: string }): Promise<Report[]> {
    const open = (await this.#openRuns()).filter((s) => options.only === undefined || s.started?.run === options.only)
    if (open.length === 0) return []
    this.tell({ type: 'recovery.started', runs: open.map((s) => s.started?.run ?? s.file) })
    const lanes = new Map<string, RunState[]>()
    for (const state of open.reverse()) {
      const lane = state.started?.identity.scopes.server ?? state.file
      lanes.set(lane, [...(lanes.get(lane) ?? []), state])
    }
    const reports = (
      await Promise.all([...lanes.values()].map((lane) => this.#recoverLane(lane, options.noProgressMs)))
    ).flat()
    const pending = this.#blocked.size
    this.tell({ type: 'recovery.finished', clean: reports.filter((r) => r.residue.length === 0).length, pending })
    return reports
  }

  /** Aborts every worker; the runs end by undoing. Returns when all are gone, or kills them at the deadline. */
  async stop(reason: string, deadlineMs: number): Promise<void> {
    this.#stopping = reason
    for (const worker of this.#workers.values()) worker.abort(reason)
    const end = this.#options.clock.monotonic() + deadlineMs
    while (this.#workers.size > 0 && this.#options.clock.monotonic() < end) await this.#options.clock.sleep(20)
    // The journal is intact: the next start finishes what these could not.
    for (const worker of this.#workers.values()) worker.kill()
  }

  /** Removes the reports of runs that ended so many days ago. */
  pruneHistory(days: number): Promise<void> {
    return this.#options.state.prune(days * 86_400_000, this.#options.clock.now())
  }

  async #work(job: Job, wait: 'queue' | 'skip'): Promise<Result> {
    const worker = await startWorker({
      main: this.#options.main,
      lock: this.#options.lock,
      job,
      onEvent: (event) => this.#options.emit(event),
      onClaim: (keys, identity) => this.#claim(job.run, keys, identity, wait),
    })
    this.#workers.set(job.run, worker)
    if (this.#stopping !== undefined) worker.abort(this.#stopping)
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
    const lost = error instanceof CodedError && error.code === 'WORKER_LOST'
    if (lost) this.tell({ type: 'worker.lost', run, detail: messageOf(error) })
    const [recovered] = await this.recoverAll({ noProgressMs: 30_000, only: run })
    if (recovered) return recovered
    const blocked = this.#blocked.get(run)
    const code = error instanceof CodedError ? error.code : 'WORKER_LOST'
    const { state, clock } = this.#options
    const report: Report = {
      run,
      experiment: experiment.name,
      target: experiment.target,
      endpoint: this.#endpointOf(experiment),
      seed,
      outcome: lost || blocked ? 'failed' : code === 'ABORTED' ? 'aborted' : 'refused',
      reason: messageOf(error),
      recovered: false,
      started_at: startedAt,
      finished_at: new Date(clock.now()).toISOString(),
      soak_ms: experiment.duration_ms,
      residue: blocked
        ? [{ step: 0, resource: blocked.endpoint, describe: `${blocked.pending} steps to undo`, error: blocked.reason }]
        : [],
      steps: [],
      notes: [],
      exit_code: blocked ? ERROR_CODES.RESIDUE : ERROR_CODES[code],
    }
    await state.writeReport(report).catch(() => undefined)
    this.#options.emit({ type: 'run.finished', report, run, at: report.finished_at })
    return report
  }

  /** Journals that are not finished; what finished but was not cleared away is cleared now. */
  async #openRuns(): Promise<RunState[]> {
    const open: RunState[] = []
    for (const state of await this.#options.state.journals()) {
      const run = state.file.replace(/^.*\//, '').replace(/\.jsonl$/, '')
      if (this.#workers.has(run)) continue
      const nothingApplied = state.started === undefined && state.steps.length === 0 && state.damage.length === 0
      if (nothingApplied || (state.finished && pendingSteps(state).length === 0)) await this.#options.state.forget(run)
      else open.push(state)
    }
    return open
  }

  async #recoverLane(lane: RunState[], noProgressMs: number): Promise<Report[]> {
    const reports: Report[] = []
    for (const state of lane) {
      const run = state.started?.run
      if (state.started === undefined || run === undefined) continue
      try {
        const result = await this.#work(await this.#recoverJob(state.started, noProgressMs), 'skip')
        if (result.kind !== 'report') continue
        reports.push(result.report)
        if (result.report.residue.length === 0 && result.report.exit_code !== ERROR_CODES.JOURNAL_WRITE)
          this.#blocked.delete(run)
        else await this.#block(run, result.report.residue[0]?.error ?? result.report.reason ?? 'residue')
      } catch (error) {
        await this.#block(run, messageOf(error))
        this.tell({ type: 'warning', message: `run ${run} is not undone yet: ${messageOf(error)}` })
      }
    }
    return reports
  }

  async #recoverJob(started: NonNullable<RunState['started']>, noProgressMs: number): Promise<Job> {
    const { run, experiment, target, endpoint } = started
    const current = this.#options.experiments().find((e) => e.name === experiment && e.target === target)
    const stored = await this.#options.state.secret(run)
    const configs = [current?.target_config, stored].filter((config) => config !== undefined)
    if (configs.length === 0) {
      throw new CodedError(
        'TARGET_UNREACHABLE',
        `no configuration for ${endpoint}: the stored one is gone and experiment ${experiment} is not configured`,
      )
    }
    return {
      kind: 'recover',
      run,
      state_dir: this.#options.state.path,
      target,
      target_configs: configs,
      no_progress_ms: noProgressMs,
    }
  }

  async #block(run: string, reason: string): Promise<void> {
    const state = (await this.#openRuns()).find((s) => s.started?.run === run)
    if (!state?.started) return
    const { experiment, endpoint, identity } = state.started
    this.#blocked.set(run, {
      run,
      experiment,
      endpoint,
      identity: identity.parts,
      pending: pendingSteps(state).length,
      reason,
    })
  }

  /** By the name the configuration uses; by identity once the worker knows it. */
  #refuseBlocked(endpoint: string, identity?: Identity['parts']): void {
    for (const blocked of this.#blocked.values()) {
      if (blocked.endpoint === endpoint || (identity && sameSystem(blocked.identity, identity))) {
        throw new CodedError(
          'BLOCKED_BY_RESIDUE',
          `blocked by run ${blocked.run} (${blocked.experiment}): ${blocked.pending} steps on ${blocked.endpoint} are not undone: ${blocked.reason}`,
        )
      }
    }
  }

  async #claim(run: string, keys: string[], identity: Identity['parts'], wait: 'queue' | 'skip'): Promise<ToWorker> {
    try {
      this.#refuseBlocked('', identity)
    } catch (error) {
      return { type: 'refused', code: 'BLOCKED_BY_RESIDUE', message: messageOf(error) }
    }
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
    const end = new AbortController()
    const tooLong = this.#options.clock.sleep(CLAIM_WAIT_MS, end.signal).then(
      () => 'late' as const,
      () => 'gone' as const,
    )
    const outcome = await Promise.race([this.#claims.wait(run, keys), tooLong])
    end.abort()
    if (outcome === 'released') return { type: 'claimed', waited: true }
    return { type: 'refused', code: 'REFUSED_CLAIMED', message: `${busy}, and it did not end in time` }
  }

  #endpointOf(experiment: Experiment): string {
    return this.#options.targets.find((t) => t.name === experiment.target)?.endpoint(experiment.target_config).key ?? ''
  }

  /** Sends an event with its time to the sinks. */
  tell(event: DistributiveOmit<DaemonEvent, 'at'>): void {
    this.#options.emit({ ...event, at: new Date(this.#options.clock.now()).toISOString() })
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** The same system as far as both sides could read: at least one part was compared, and none differs. */
function sameSystem(a: Identity['parts'], b: Identity['parts']): boolean {
  const compared = Object.keys(a).some(
    (part) => part !== 'port' && (a[part] ?? null) !== null && (b[part] ?? null) !== null,
  )
  return compared && identityMismatch(a, b).length === 0
}
