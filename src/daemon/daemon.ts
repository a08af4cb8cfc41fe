/** The daemon: one round of recovery, then experiments on their schedules, until it is told to stop. */
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { SkipCause } from '../core/events.ts'
import type { Config, ScheduledExperiment } from '../core/experiment.ts'
import { makeSchedule } from './schedule.ts'
import type { Schedule } from './schedule.ts'
import { Slots } from './slots.ts'
import type { Supervisor } from './supervisor.ts'

export interface DaemonOptions {
  config: Config
  supervisor: Supervisor
  stateDir: string
  clock: Clock
  /** Aborts when the daemon must stop. */
  stop: AbortSignal
}

/** One target that hangs must not keep the others from being scheduled. */
const RECOVERY_ROUND_MS = 30_000
const QUEUE_LIMIT = 16
const QUEUE_WAIT_MS = 60 * 60_000
const RETRY_FIRST_MS = 5_000
const RETRY_LONGEST_MS = 5 * 60_000
const PRUNE_MS = 60 * 60_000

/** Returns when stopped and nothing is running any more; the number of runs that are not clean. */
export async function runDaemon(options: DaemonOptions): Promise<{ pending: number }> {
  const daemon = new Daemon(options)
  await daemon.main()
  return { pending: options.supervisor.blocked.length }
}

class Daemon {
  readonly #options: DaemonOptions
  readonly #slots: Slots
  readonly #active = new Map<string, Promise<void>>()
  #schedule: Schedule

  constructor(options: DaemonOptions) {
    this.#options = options
    this.#slots = new Slots(options.config.settings.max_concurrent, QUEUE_LIMIT)
    this.#schedule = makeSchedule(options.config.experiments, {
      due: (entry, slot) => this.#due(entry, slot),
      missed: (entry, slot) => this.#skip(entry, slot, 'missed', 'its time passed while this process could not run'),
    })
  }

  async main(): Promise<void> {
    const { config, supervisor, stop, stateDir } = this.#options
    this.#tell({
      type: 'daemon.started',
      pid: process.pid,
      state_dir: stateDir,
      experiments: config.experiments.length,
    })
    for (const warning of config.warnings) this.#tell({ type: 'warning', message: warning })
    const { rest } = await this.#firstRound()
    const retrying = this.#retryBlocked()
    const pruning = this.#prune()
    this.#schedule.start()
    this.#tell({ type: 'daemon.ready' })
    for (const { experiment } of config.experiments) this.#tellNext(experiment.name)
    if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
    this.#schedule.stop()
    this.#tell({ type: 'daemon.stopping', reason: messageOf(stop.reason) })
    await supervisor.stop(messageOf(stop.reason), config.settings.stop_deadline_ms)
    await Promise.all([rest, retrying, pruning, ...this.#active.values()])
  }

  /** Waits for the recovery of everything, but not for long; what it is still at stays blocked. Throws what it throws by then. */
  async #firstRound(): Promise<{ rest: Promise<void> }> {
    const { supervisor, clock, stop } = this.#options
    const end = new AbortController()
    const late = clock.sleep(RECOVERY_ROUND_MS, AbortSignal.any([stop, end.signal])).catch(() => undefined)
    const round = supervisor.recoverAll({ noProgressMs: RECOVERY_ROUND_MS })
    try {
      await Promise.race([round, late])
    } finally {
      end.abort()
    }
    return {
      rest: round.then(
        () => undefined,
        (error: unknown) => this.#warn(error),
      ),
    }
  }

  #due(entry: ScheduledExperiment, slot: Date): void {
    const { name } = entry.experiment
    if (this.#options.stop.aborted) return
    if (this.#active.has(name)) {
      this.#skip(entry, slot, 'overlap', 'its previous run is not over')
      return
    }
    this.#tell({ type: 'schedule.due', experiment: name, slot: slot.toISOString() })
    if (!this.#slots.free) {
      if (entry.on_busy === 'skip') {
        this.#skip(entry, slot, 'busy', 'all slots are taken')
        return
      }
      this.#tell({ type: 'schedule.queued', experiment: name, slot: slot.toISOString(), reason: 'all slots are taken' })
    }
    const running = this.#runInSlot(entry, slot).finally(() => {
      this.#active.delete(name)
      this.#tellNext(name)
    })
    this.#active.set(name, running)
  }

  async #runInSlot(entry: ScheduledExperiment, slot: Date): Promise<void> {
    const { supervisor, stop } = this.#options
    try {
      const give = await this.#slots.take(AbortSignal.any([stop, AbortSignal.timeout(QUEUE_WAIT_MS)]))
      try {
        await supervisor.run(entry.experiment, { wait: entry.on_busy })
      } finally {
        give()
      }
    } catch (error) {
      if (stop.aborted) return
      const late = error instanceof Error && error.name === 'TimeoutError'
      this.#skip(entry, slot, 'busy', late ? 'it waited too long for a slot' : messageOf(error))
    }
  }

  /** For as long as the daemon lives: what is not clean is tried again, ever more rarely. */
  async #retryBlocked(): Promise<void> {
    const { supervisor, clock, stop } = this.#options
    let pause = RETRY_FIRST_MS
    while (await slept(clock, pause, stop)) {
      if (supervisor.blocked.length === 0) {
        pause = RETRY_FIRST_MS
        continue
      }
      pause = Math.min(pause * 2, RETRY_LONGEST_MS)
      try {
        await supervisor.recoverAll({ noProgressMs: RECOVERY_ROUND_MS })
      } catch (error) {
        this.#warn(error)
      }
      for (const { run, reason } of supervisor.blocked)
        this.#tell({ type: 'recovery.retry', run, in_ms: pause, reason })
    }
  }

  async #prune(): Promise<void> {
    const { config, supervisor, clock, stop } = this.#options
    do await supervisor.pruneHistory(config.settings.history.keep_days).catch(() => undefined)
    while (await slept(clock, PRUNE_MS, stop))
  }

  #skip(entry: ScheduledExperiment, slot: Date, cause: SkipCause, reason: string): void {
    this.#tell({ type: 'schedule.skipped', experiment: entry.experiment.name, slot: slot.toISOString(), cause, reason })
  }

  #tellNext(name: string): void {
    const next = this.#options.stop.aborted ? undefined : this.#schedule.next(name)
    if (next) this.#tell({ type: 'schedule.next', experiment: name, next: next.toISOString() })
  }

  #warn(error: unknown): void {
    this.#tell({ type: 'warning', message: `recovery: ${messageOf(error)}` })
  }

  #tell(event: Parameters<Supervisor['tell']>[0]): void {
    this.#options.supervisor.tell(event)
  }
}

/** False when it was told to stop meanwhile. */
async function slept(clock: Clock, ms: number, stop: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, stop)
    return true
  } catch {
    return false
  }
}
