/** The daemon: one round of recovery, then experiments on their schedules, until it is told to stop. */
import { slept } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'
import { CodedError, messageOf } from '../core/errors.ts'
import type { Config, ScheduledExperiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { DaemonStatus } from '../core/status.ts'
import { disabledNow, frozenNow } from '../journal/orders.ts'
import type { StandingOrders, Orders } from '../journal/orders.ts'
import type { SlotLog } from '../journal/due-log.ts'
import { Dispatcher } from './dispatch.ts'
import type { HandledStore } from '../schedule/watermark.ts'
import { openSchedule } from '../schedule/schedule.ts'
import type { Schedule } from '../schedule/schedule.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import { firstRound, retryBlocked } from './recovery-rounds.ts'
import type { Tracker } from './tracker.ts'
import type { Trust } from './trust.ts'
import type { Turns } from './turns.ts'

export interface DaemonOptions {
  config: Config
  version: string
  supervisor: Supervisor
  stateDir: string
  orders: Orders
  turns: Turns
  slotLog: SlotLog
  handled: HandledStore
  /** The install id. */
  install: string
  tracker: Tracker
  trust: Trust
  clock: Clock
  /** Whether the run ended, and left its report. */
  hasReport(run: string): Promise<boolean>
  /** What became of notifications. */
  notified(): DaemonStatus['notify']
  /** Reads the configuration anew. Throws ConfigError. */
  reload(): Promise<Config>
  /** Aborts when the daemon must stop. */
  stop: AbortSignal
}

const PRUNE_MS = 60 * 60_000

export class Daemon {
  readonly #options: DaemonOptions
  readonly #dispatcher: Dispatcher
  readonly #startedAt: string
  #config: Config
  #loadedAt: string
  #problem: string | undefined
  readonly #schedule: Schedule
  #ready = false
  #reloading: Promise<Config> | undefined

  constructor(options: DaemonOptions) {
    const { config, supervisor, orders, turns, slotLog, clock, stop } = options
    this.#options = options
    this.#config = config
    this.#startedAt = this.#loadedAt = this.#now()
    this.#dispatcher = new Dispatcher({
      ...{ supervisor, orders, turns, slotLog, clock, stop },
      closed: ({ experiment }) => this.#schedule.closedNow(experiment.name),
      over: (name) => this.#tellNext(name),
    })
    this.#schedule = this.#openSchedule()
  }

  /** Returns when stopped and nothing is running any more; the number of runs that are not clean. */
  async main(): Promise<{ pending: number }> {
    const { supervisor, stop, stateDir, clock } = this.#options
    this.#tell({
      type: 'daemon.started',
      pid: process.pid,
      state_dir: stateDir,
      experiments: this.#config.experiments.length,
    })
    this.#warnings(this.#config)
    const { rest } = await firstRound(this.#options)
    await this.#tellLost()
    const background = [
      rest,
      retryBlocked(this.#options),
      this.#prune(),
      this.#thaw(this.#options.orders.current.frozen),
    ]
    const frozen = frozenNow(this.#options.orders.current, clock.now())
    if (frozen) this.#tell({ type: 'daemon.frozen', ...frozenEvent(frozen) })
    if (!stop.aborted) this.#schedule.start()
    this.#ready = !stop.aborted
    this.#tell({ type: 'daemon.ready' })
    for (const { experiment } of this.#config.experiments) this.#tellNext(experiment.name)
    if (!stop.aborted) await new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }))
    this.#ready = false
    this.#schedule.stop()
    this.#tell({ type: 'daemon.stopping', reason: messageOf(stop.reason) })
    await supervisor.stop(messageOf(stop.reason), this.#config.settings.stop_deadline_ms)
    await Promise.all([...background, this.#dispatcher.idle()])
    return { pending: supervisor.blocked.length }
  }

  /** The coming due times, soonest first. */
  get next(): { experiment: string; at: string }[] {
    const now = this.#options.clock.now()
    return this.#config.experiments
      .flatMap(({ experiment: { name } }) => {
        const at = this.#nextAllowed(name, now)
        return at ? [{ experiment: name, at: at.toISOString() }] : []
      })
      .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
  }

  get status(): DaemonStatus {
    const { version, supervisor, stateDir, orders, tracker, trust, clock, stop } = this.#options
    const now = clock.now()
    const frozen = frozenNow(orders.current, now)
    const alive = new Set(supervisor.running)
    const experimentOf = new Map(supervisor.blocked.map(({ run, experiment }) => [run, experiment]))
    return {
      pid: process.pid,
      version,
      state_dir: stateDir,
      started_at: this.#startedAt,
      ready: this.#ready,
      ...(stop.aborted ? { stopping: messageOf(stop.reason) } : {}),
      config: {
        file: this.#config.file,
        loaded_at: this.#loadedAt,
        ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      },
      ...(frozen ? { frozen } : {}),
      running: tracker.running
        .filter(({ run }) => alive.has(run))
        .map((run) => (run.experiment === '' ? { ...run, experiment: experimentOf.get(run.run) ?? '' } : run)),
      queued: this.#dispatcher.queued,
      experiments: this.#config.experiments.map((entry) => this.#statusOf(entry, now)),
      blocked: supervisor.blocked.map(({ run, experiment, endpoint, pending, quarantined, unreadable, ...why }) => ({
        ...{ run, experiment, endpoint, pending, reason: why.reason, ...(quarantined ? { quarantined } : {}) },
        ...(unreadable ? { unreadable } : {}),
        ...(why.code === undefined ? {} : { code: why.code }),
        ...(why.recovering ? { recovering: true } : {}),
      })),
      untrusted: trust.waiting,
      notify: this.#options.notified(),
    }
  }

  /** Validates first: a configuration with a mistake changes nothing, is reported, and thrown. What runs keeps its own. */
  async reload(): Promise<Config> {
    this.#reloading ??= this.#reload().finally(() => (this.#reloading = undefined))
    return this.#reloading
  }

  /** Starts an experiment beside its schedule. Rejects when it may not run. */
  async runNow(name: string): ReturnType<Dispatcher['runNow']> {
    return this.#dispatcher.runNow(this.#entry(name))
  }

  /** Ends a run, or the run of an experiment; resolves with its report when everything is undone. */
  async abort(name: string, reason: string): Promise<Report> {
    const { tracker } = this.#options
    const found = tracker.running.find(({ run, experiment }) => [run, experiment].includes(name))
    if (!found) {
      const names = tracker.running.map(({ run, experiment }) => `${run} (${experiment})`).join(', ')
      throw new CodedError('USAGE', `no run ${name} is running${names === '' ? '' : `; there is ${names}`}`)
    }
    await this.#dispatcher.end(found.experiment, reason)
    const report = tracker.lastOf(found.experiment)
    if (report?.run === found.run) return report
    throw new CodedError('RESIDUE', `${found.run} ended without a report; chaos status shows what is left`)
  }

  /** Nothing is started any more, what runs is undone; resolves when it is. Holds over restarts. */
  async freeze(reason: string, forMs?: number): Promise<{ ended: string[]; pending: number }> {
    const { orders, clock, supervisor } = this.#options
    const until = forMs === undefined ? {} : { until: new Date(clock.now() + forMs).toISOString() }
    const frozen = { since: this.#now(), reason, ...until }
    await orders.change((current) => ({ ...current, frozen }))
    this.#tell({ type: 'daemon.frozen', ...frozenEvent(frozen) })
    void this.#thaw(frozen)
    const ended = await this.#dispatcher.endAll(`frozen: ${reason}`)
    return { ended, pending: supervisor.blocked.length }
  }

  /** Obeys what was written into the state folder while nobody answered. */
  async ordersChanged(): Promise<void> {
    const { orders, clock } = this.#options
    const before = frozenNow(orders.current, clock.now())
    await orders.refresh()
    const after = frozenNow(orders.current, clock.now())
    if (before?.since === after?.since && before?.reason === after?.reason) return
    this.#tell(
      after ? { type: 'daemon.frozen', ...frozenEvent(after) } : { type: 'daemon.unfrozen', reason: 'unfrozen' },
    )
    if (!after) return
    void this.#thaw(after)
    void this.#dispatcher.endAll(`frozen: ${after.reason}`)
  }

  async unfreeze(reason = 'unfrozen'): Promise<void> {
    const { orders } = this.#options
    if (!orders.current.frozen) return
    await orders.change(({ disabled, trusted }) => ({ disabled, trusted }))
    this.#tell({ type: 'daemon.unfrozen', reason })
    for (const { experiment } of this.#config.experiments) this.#tellNext(experiment.name)
  }

  async disable(name: string, until?: string): Promise<void> {
    this.#entry(name)
    const order = { since: this.#now(), ...(until === undefined ? {} : { until }) }
    await this.#options.orders.change((orders) => ({ ...orders, disabled: { ...orders.disabled, [name]: order } }))
    this.#tell({ type: 'experiment.disabled', experiment: name, ...(until === undefined ? {} : { until }) })
  }

  async enable(name: string): Promise<void> {
    const { orders } = this.#options
    if (!Object.hasOwn(orders.current.disabled, name)) {
      this.#entry(name)
      return
    }
    await orders.change((current) => ({
      ...current,
      disabled: Object.fromEntries(Object.entries(current.disabled).filter(([other]) => other !== name)),
    }))
    this.#tell({ type: 'experiment.enabled', experiment: name })
    this.#tellNext(name)
  }

  #entry(name: string): ScheduledExperiment {
    const found = this.#config.experiments.find(({ experiment }) => experiment.name === name)
    if (found) return found
    const names = this.#config.experiments.map(({ experiment }) => JSON.stringify(experiment.name)).join(', ')
    throw new CodedError('USAGE', `no experiment ${JSON.stringify(name)}; there is ${names}`)
  }

  #statusOf({ experiment, schedule, timezone }: ScheduledExperiment, now: number): DaemonStatus['experiments'][number] {
    const { supervisor, orders, tracker } = this.#options
    const { name } = experiment
    const disabled = disabledNow(orders.current, name, now)
    const next = this.#nextAllowed(name, now)
    const last = tracker.lastOf(name)
    const skipped = this.#dispatcher.lastSkip(name)
    return {
      experiment: name,
      endpoint: supervisor.endpointOf(experiment),
      ...(schedule === undefined ? {} : { schedule }),
      timezone,
      ...(next ? { next: next.toISOString() } : {}),
      ...(disabled ? { disabled } : {}),
      ...(last
        ? {
            last: {
              ...{ run: last.run, outcome: last.outcome, residue: last.residue.length, finished_at: last.finished_at },
            },
          }
        : {}),
      ...(skipped ? { skipped } : {}),
    }
  }

  /** The next due time at which it is neither frozen nor disabled; undefined where only an operator ends that. */
  #nextAllowed(name: string, now: number): Date | undefined {
    const { current } = this.#options.orders
    const stops = [frozenNow(current, now), disabledNow(current, name, now)].filter((stop) => stop !== undefined)
    if (stops.some(({ until }) => until === undefined)) return undefined
    const free = Math.max(...stops.map(({ until }) => Date.parse(until ?? '')))
    return this.#schedule.next(name, free)
  }

  async #reload(): Promise<Config> {
    let config: Config
    try {
      config = await this.#options.reload()
    } catch (error) {
      this.#problem = messageOf(error)
      this.#tell({ type: 'daemon.reload_failed', file: this.#config.file, problem: this.#problem })
      throw error
    }
    this.#problem = undefined
    this.#config = config
    this.#loadedAt = this.#now()
    this.#options.turns.resize(config.settings.max_concurrent)
    this.#schedule.replace(config.experiments)
    this.#warnings(config)
    this.#tell({ type: 'daemon.reloaded', file: config.file, experiments: config.experiments.length })
    if (this.#ready) for (const { experiment } of config.experiments) this.#tellNext(experiment.name)
    return config
  }

  #warnings(config: Config): void {
    for (const warning of config.warnings) this.#tell({ type: 'warning', code: 'configuration', message: warning })
  }

  #openSchedule(): Schedule {
    const { install, clock, handled } = this.#options
    return openSchedule({
      ...{ entries: this.#config.experiments, install, clock, handled },
      events: {
        due: (entry, slot) => this.#dispatcher.due(entry, slot),
        skipped: (entry, slot, cause, reason) => this.#dispatcher.skip(entry, slot, { cause, reason }),
        closed: ({ experiment }, _cause, reason) => void this.#dispatcher.end(experiment.name, reason),
        stepped: (by_ms) => this.#tell({ type: 'clock.stepped', by_ms }),
        problem: (message) => this.#tell({ type: 'warning', code: 'schedule', message }),
      },
    })
  }

  async #tellLost(): Promise<void> {
    const { supervisor, hasReport } = this.#options
    const left = new Set(supervisor.blocked.map(({ run }) => run))
    await this.#dispatcher
      .tellLost(async (run) => left.has(run) || (await hasReport(run)))
      .catch((error: unknown) =>
        this.#tell({ type: 'warning', code: 'due_times', message: `lost due times: ${messageOf(error)}` }),
      )
  }

  /** Says when a freeze is over by itself; what it forbids is decided by the time alone. */
  async #thaw(frozen: StandingOrders['frozen']): Promise<void> {
    const { orders, clock, stop } = this.#options
    if (frozen?.until === undefined) return
    if (!(await slept(clock, Math.max(0, Date.parse(frozen.until) - clock.now()), stop))) return
    // Somebody may have frozen it anew meanwhile.
    if (orders.current.frozen?.since !== frozen.since) return
    await this.unfreeze('its time is over').catch((error: unknown) => this.#warn(error))
  }

  async #prune(): Promise<void> {
    const { supervisor, slotLog, clock, stop } = this.#options
    do {
      const days = this.#config.settings.history.keep_days
      await supervisor.pruneHistory(days).catch(() => undefined)
      await slotLog.prune(clock.now() - days * 86_400_000).catch(() => undefined)
    } while (await slept(clock, PRUNE_MS, stop))
  }

  #tellNext(name: string): void {
    const next = this.#options.stop.aborted ? undefined : this.#schedule.next(name)
    if (next) this.#tell({ type: 'schedule.next', experiment: name, next: next.toISOString() })
  }

  #warn(error: unknown): void {
    this.#tell({ type: 'warning', code: 'recovery', message: `recovery: ${messageOf(error)}` })
  }

  #tell(event: Parameters<Supervisor['tell']>[0]): void {
    this.#options.supervisor.tell(event)
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString()
  }
}

function frozenEvent({ reason, until }: { reason: string; until?: string }): { reason: string; until?: string } {
  return { reason, ...(until === undefined ? {} : { until }) }
}
