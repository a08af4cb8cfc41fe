/** Recovery: every open run gets a worker that undoes it, systems side by side, the runs of one system newest first. */
import { CodedError, messageOf } from '../core/errors.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { Target } from '../core/target.ts'
import { leadsToRun } from '../engine/of-run.ts'
import type { HandOver } from '../engine/recover.ts'
import { forgetLostSecrets } from '../journal/forget.ts'
import { placesOf, unreadState } from '../journal/journal.ts'
import type { RunState } from '../journal/journal.ts'
import { notRead } from '../journal/read-journal.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'
import { noClaims } from './admission.ts'
import { damagedStart, isClean, openRuns, whyNotClean, whyOf } from './blocked.ts'
import type { Blocked, BlockedRuns, Why } from './blocked.ts'
import type { Job } from './protocol.ts'
import { RecoveryOrder } from './recovery-order.ts'
import type { Tell } from './tell.ts'
import type { Workers } from './workers.ts'

export interface RecoveriesOptions {
  /** The state folder, for the workers. */
  stateDir: string
  runs: Runs
  secrets: Secrets
  workers: Workers
  blocked: BlockedRuns
  targets: readonly Target[]
  /** The experiments of the configuration as it is now: where a recovery finds a rotated password. */
  experiments(): readonly Experiment[]
  tell: Tell
}

/** `handOver` goes with `only`: it is a word about that one run. */
export interface RecoverOptions {
  noProgressMs: number
  only?: string
  handOver?: HandOver
}

export class Recoveries {
  readonly #options: RecoveriesOptions
  readonly #recovering = new Map<string, Promise<Report | undefined>>()
  /** Calls of `round` that are under way: between its workers, too, there is something to wait for. */
  #rounds = 0
  /** Why nothing is begun any more, not even an undo. */
  #over: string | undefined

  constructor(options: RecoveriesOptions) {
    this.#options = options
  }

  get idle(): boolean {
    return this.#rounds === 0
  }

  /** From now on no recovery is begun: the next start finishes what is left. */
  end(reason: string): void {
    this.#over = reason
  }

  /** One round over every open run. Returns the reports of those it could work on; the others are blocked afterwards. */
  async round(options: RecoverOptions): Promise<Report[]> {
    this.#rounds += 1
    try {
      return await this.#recoverOpen(options)
    } finally {
      this.#rounds -= 1
    }
  }

  /**
   * Keeps new runs away from what the run has left, unless its journal is gone: then it is clean after all. Where journals
   * cannot be read, nothing is known to be free of it. `seen`: what is left was looked at on the target.
   */
  async block(run: string, why: Why, seen = true): Promise<void> {
    const { blocked, runs } = this.#options
    try {
      const state = (await this.#openRuns()).find((s) => s.run === run)
      if (state) blocked.set(state, why, seen)
      else blocked.delete(run)
    } catch (error) {
      blocked.set(unreadState(run, notRead(error, runs.where(run))), why)
    }
  }

  async #recoverOpen(options: RecoverOptions): Promise<Report[]> {
    const { workers, blocked, tell } = this.#options
    if (workers.runs.length === 0) await forgetLostSecrets(this.#options).catch(() => undefined)
    const all = await this.#openRuns()
    const over = (run: string): boolean => !this.#recovering.has(run) && !all.some((s) => s.run === run)
    // Its journal is gone: somebody has moved it away, or has said that its loss is accepted.
    for (const { run } of blocked.list) if (over(run)) blocked.delete(run)
    const open = all.filter((s) => options.only === undefined || s.run === options.only)
    if (open.length === 0) return []
    tell({ type: 'recovery.started', runs: open.map(({ run }) => run) })
    for (const state of open)
      blocked.set(state, {
        ...(whyBefore(blocked.get(state.run)) ?? { reason: 'it is being undone' }),
        recovering: true,
      })
    const reports = await this.#recoverInTurn(open.reverse(), options)
    tell({ type: 'recovery.finished', clean: reports.filter(isClean).length, pending: blocked.size })
    return reports
  }

  #openRuns(): Promise<RunState[]> {
    const { workers, tell } = this.#options
    const warn = (run: string, message: string): void =>
      tell({ type: 'warning', code: 'not_cleared', message, about: { run } })
    const workOn = (run: string) => (this.#recovering.has(run) ? 'undo' : workers.has(run) ? 'run' : undefined)
    return openRuns(this.#options, workOn, warn)
  }

  /** `open`: newest first. A run begins when it is its turn on one of its systems, and waits for the others by itself. */
  async #recoverInTurn(open: readonly RunState[], options: RecoverOptions): Promise<Report[]> {
    const runs = open.map((state) => ({ state, run: state.run, systems: systemsOf(state) }))
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
    const { run } = state
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
    const { workers, blocked, runs, tell } = this.#options
    const { run } = state
    try {
      if (this.#over !== undefined) throw new CodedError('ABORTED', this.#over)
      if (!state.started) throw damagedStart(state, runs.where(run))
      const result = await workers.work(await this.#jobFor(state.started, options), {
        onClaim: noClaims,
        onBegin: (system) => order.wait(run, [system]),
        onLeft: (system) => order.leave(run, system),
      })
      if (result.kind !== 'report') return undefined
      if (isClean(result.report)) blocked.delete(run)
      else await this.block(run, whyNotClean(result.report))
      return result.report
    } catch (error) {
      await this.block(run, whyOf(error), false)
      if (blocked.has(run)) tell(notUndone(run, error))
      return undefined
    }
  }

  async #jobFor(started: NonNullable<RunState['started']>, options: RecoverOptions): Promise<Job> {
    const { experiments, secrets, targets, stateDir } = this.#options
    const { run, experiment, target, endpoint } = started
    const current = experiments().find((e) => e.name === experiment && e.target === target)
    let lost = 'the stored one is gone'
    const kept = await secrets.read(run).catch((error: unknown) => void (lost = messageOf(error)))
    const where = targets.find((t) => t.name === target)
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
      state_dir: stateDir,
      target,
      target_configs: configs,
      no_progress_ms: options.noProgressMs,
      ...(options.handOver === undefined ? {} : { hand_over: options.handOver }),
    }
  }
}

/** What kept it from being undone before. */
function whyBefore(blocked: Blocked | undefined): Why | undefined {
  return blocked && { reason: blocked.reason, ...(blocked.code === undefined ? {} : { code: blocked.code }) }
}

export function notUndone(run: string, error: unknown): Parameters<Tell>[0] {
  const message = `run ${run} is not undone yet: ${messageOf(error)}`
  return { type: 'warning', code: 'not_undone', message, about: { run } }
}

/** Where runs get into each other's way; one that does not say where it was is alone. */
function systemsOf({ started, run }: RunState): string[] {
  return started ? [...new Set(placesOf(started).map(({ identity }) => identity.scopes.server))] : [run]
}
