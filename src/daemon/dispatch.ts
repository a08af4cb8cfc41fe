/** From a due time to a run: what may start now, whose turn it is, and what became of it. */
import type { Clock } from '../core/clock.ts'
import { CodedError, messageOf } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { SkipCause } from '../core/events.ts'
import type { Facts } from '../core/facts.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { DaemonStatus } from '../core/status.ts'
import { within } from '../core/within.ts'
import { disabledNow, frozenNow } from '../journal/orders.ts'
import type { Orders } from '../journal/orders.ts'
import type { SlotLog, SlotRecord } from '../journal/due-log.ts'
import { mintRun } from '../journal/names.ts'
import { TurnsFullError } from './turns.ts'
import type { Turns } from './turns.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'

interface Skip {
  cause: SkipCause
  reason: string
  about?: Facts
}

export interface DispatchOptions {
  supervisor: Supervisor
  orders: Orders
  slotLog: SlotLog
  clock: Clock
  turns: Turns
  stop: AbortSignal
  /** Why the calendar forbids a run of the entry at this moment. */
  closed(entry: ScheduledExperiment): Skip | undefined
  /** An experiment's run is over, or its due time is skipped. */
  over(experiment: string): void
}

interface Active {
  /** Absent while it waits for its turn. */
  run?: string
  slot: Date
  /** Told to end before it had begun. */
  called?: AbortController
  done: Promise<unknown>
}

const QUEUE_WAIT_MS = 60 * 60_000

/** A run that its worker refused was not a run: the due time counts as skipped, for this cause. */
const REFUSALS: Partial<Record<ErrorCode, SkipCause>> = {
  REFUSED_CLAIMED: 'claimed',
  REFUSED_UNTRUSTED: 'untrusted',
  BLOCKED_BY_RESIDUE: 'blocked',
}

export class Dispatcher {
  readonly #options: DispatchOptions
  readonly #active = new Map<string, Active>()
  readonly #skipped = new Map<string, { slot: string } & Skip>()

  constructor(options: DispatchOptions) {
    this.#options = options
  }

  get queued(): DaemonStatus['queued'] {
    return [...this.#active].flatMap(([experiment, { run, slot }]) =>
      run === undefined ? [{ experiment, slot: slot.toISOString() }] : [],
    )
  }

  lastSkip(experiment: string): DaemonStatus['experiments'][number]['skipped'] {
    return this.#skipped.get(experiment)
  }

  due(entry: ScheduledExperiment, slot: Date): void {
    const { name } = entry.experiment
    if (this.#options.stop.aborted) return
    const skip = this.#active.has(name)
      ? { cause: 'overlap' as const, reason: 'its previous run is not over' }
      : this.#forbidden(entry)
    if (skip) {
      this.skip(entry, slot, skip)
      return
    }
    const at = slot.toISOString()
    this.#options.supervisor.tell({ type: 'schedule.due', experiment: name, slot: at })
    void this.#start(entry, slot, (active) => this.#runDue(entry, active))
  }

  /** A due time that does not become a run. */
  skip(entry: ScheduledExperiment, slot: Date, skip: Skip): void {
    this.#tellSkipped(entry, slot, skip)
    this.#options.over(entry.experiment.name)
  }

  #tellSkipped(entry: ScheduledExperiment, slot: Date, skip: Skip): void {
    const experiment = entry.experiment.name
    const at = slot.toISOString()
    this.#skipped.set(experiment, { slot: at, ...skip })
    this.#options.supervisor.tell({ type: 'schedule.skipped', experiment, slot: at, ...skip })
    this.#record({ experiment, slot: at, skipped: skip })
  }

  /** Tells the due times that a crash kept from becoming a run. `is` says whether there was such a run. */
  async tellLost(is: (run: string) => Promise<boolean>): Promise<void> {
    const { slotLog, supervisor } = this.#options
    for (const { experiment, slot, run } of lastRuns(await slotLog.read())) {
      if (await is(run)) continue
      const skip = { cause: 'missed' as const, reason: `chaos was ended before its run ${run} began`, about: { run } }
      supervisor.tell({ type: 'schedule.skipped', experiment, slot, ...skip })
      this.#record({ experiment, slot, skipped: skip })
    }
  }

  /** A run that an operator wants now: beside the schedule, but within the same turns and rules. Rejects when it may not. */
  async runNow(entry: ScheduledExperiment): Promise<{ run: string; report: Promise<Report> }> {
    const { turns, clock, supervisor } = this.#options
    const turn = await turns.take()
    try {
      this.#refuseNow(entry)
      if (!turn) throw new CodedError('REFUSED_CLAIMED', 'all slots are taken; try again later')
    } catch (error) {
      turn?.()
      throw error
    }
    const run = mintRun(clock.now())
    const report = this.#start(entry, new Date(clock.now()), async (mine) => {
      try {
        mine.run = run
        return await supervisor.run(entry.experiment, { run, wait: 'skip' })
      } finally {
        turn()
      }
    })
    return { run, report }
  }

  /** Throws where an operator may not start it now. */
  #refuseNow(entry: ScheduledExperiment): void {
    const { name } = entry.experiment
    const { stop, orders, clock, supervisor, closed } = this.#options
    if (stop.aborted) throw new CodedError('ABORTED', 'the daemon is stopping')
    const active = this.#active.get(name)
    if (active)
      throw new CodedError(
        'REFUSED_CLAIMED',
        `${name} is ${active.run ? `running (${active.run})` : 'waiting'} already`,
      )
    const frozen = frozenNow(orders.current, clock.now())
    if (frozen) throw new CodedError('REFUSED_FROZEN', `frozen: ${frozen.reason}; chaos unfreeze ends that`)
    // Windows say when the schedule may run; a blackout is for everybody.
    const shut = closed(entry)
    if (shut?.cause === 'blackout') throw new CodedError('REFUSED_CALENDAR', shut.reason)
    const blocked = supervisor.refusal(entry.experiment)
    if (blocked) throw blocked
  }

  /** Ends what runs or waits of an experiment: everything is undone. Resolves when it is over. */
  async end(experiment: string, reason: string): Promise<boolean> {
    const active = this.#active.get(experiment)
    if (!active) return false
    if (active.run === undefined) active.called?.abort(new CodedError('ABORTED', reason))
    else this.#options.supervisor.abort(active.run, reason)
    await active.done
    return true
  }

  /** Ends all; resolves with the names of the experiments, when everything is undone. */
  async endAll(reason: string): Promise<string[]> {
    const names = [...this.#active.keys()]
    await Promise.all(names.map((name) => this.end(name, reason)))
    return names
  }

  /** Resolves when nothing is active any more. */
  async idle(): Promise<void> {
    while (this.#active.size > 0) await Promise.all([...this.#active.values()].map(({ done }) => done))
  }

  #start<T>(entry: ScheduledExperiment, slot: Date, work: (active: Active) => Promise<T>): Promise<T> {
    const { name } = entry.experiment
    const active: Active = { slot, called: new AbortController(), done: Promise.resolve() }
    this.#active.set(name, active)
    const working = work(active).finally(() => {
      this.#active.delete(name)
      this.#options.over(name)
    })
    active.done = working.catch(() => undefined)
    return working
  }

  async #runDue(entry: ScheduledExperiment, active: Active): Promise<void> {
    const { supervisor, turns, clock, stop } = this.#options
    const at = active.slot.toISOString()
    const experiment = entry.experiment.name
    const calledOff = active.called?.signal ?? stop
    try {
      const free = await turns.take()
      if (!free) {
        const reason = 'all slots are taken'
        if (entry.on_busy === 'skip') {
          this.#tellSkipped(entry, active.slot, { cause: 'busy', reason })
          return
        }
        supervisor.tell({ type: 'schedule.queued', experiment, slot: at, reason })
      }
      const run = mintRun(clock.now())
      this.#record({ experiment, slot: at, run })
      const turn = free ?? (await within({ ms: QUEUE_WAIT_MS, clock }, (signal) => turns.wait(signal), stop, calledOff))
      try {
        // It may have waited for long, and we may have been stopped while somebody froze.
        await this.#options.orders.refresh()
        calledOff.throwIfAborted()
        const skip = this.#forbidden(entry)
        if (skip) {
          this.#tellSkipped(entry, active.slot, skip)
          return
        }
        active.run = run
        const { code, reason, about } = await supervisor.run(entry.experiment, { run, wait: entry.on_busy })
        const cause = code && REFUSALS[code]
        if (cause)
          this.#tellSkipped(entry, active.slot, { cause, reason: reason ?? cause, ...(about ? { about } : {}) })
      } finally {
        turn()
      }
    } catch (error) {
      this.#tellSkipped(entry, active.slot, whyNot(error, stop))
    }
  }

  #forbidden(entry: ScheduledExperiment): Skip | undefined {
    const { orders, clock, supervisor, closed } = this.#options
    const now = clock.now()
    const frozen = frozenNow(orders.current, now)
    if (frozen) return { cause: 'frozen', reason: `frozen: ${frozen.reason}` }
    const disabled = disabledNow(orders.current, entry.experiment.name, now)
    if (disabled) {
      return { cause: 'disabled', reason: `disabled${disabled.until === undefined ? '' : ` until ${disabled.until}`}` }
    }
    const shut = closed(entry)
    if (shut) return shut
    const blocked = supervisor.refusal(entry.experiment)
    return blocked && { cause: 'blocked', reason: blocked.message, ...(blocked.about ? { about: blocked.about } : {}) }
  }

  #record(record: Omit<SlotRecord, 'at'>): void {
    const { slotLog, clock, supervisor } = this.#options
    slotLog.append({ at: new Date(clock.now()).toISOString(), ...record }).catch((error: unknown) => {
      supervisor.tell({ type: 'warning', code: 'due_times', message: `cannot record a due time: ${messageOf(error)}` })
    })
  }
}

/** The last run of each experiment, unless it is said already why it did not begin. */
function lastRuns(records: readonly SlotRecord[]): { experiment: string; slot: string; run: string }[] {
  const last = new Map<string, { experiment: string; slot: string; run: string }>()
  for (const { experiment, slot, run } of records) {
    if (run !== undefined) last.set(experiment, { experiment, slot, run })
    else if (last.get(experiment)?.slot === slot) last.delete(experiment)
  }
  return [...last.values()]
}

function whyNot(error: unknown, stop: AbortSignal): Skip {
  if (stop.aborted) return { cause: 'stopping', reason: `the daemon stops: ${messageOf(stop.reason)}` }
  if (error instanceof TurnsFullError) return { cause: 'busy', reason: error.message }
  if (error instanceof Error && error.name === 'TimeoutError')
    return { cause: 'busy', reason: 'it waited too long for a slot' }
  if (error instanceof CodedError && error.code === 'ABORTED') return { cause: 'frozen', reason: error.message }
  return { cause: 'error', reason: messageOf(error) }
}
