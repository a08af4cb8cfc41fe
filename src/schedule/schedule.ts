/** The schedule: one timer over the due times of all experiments. It says what is due, what is not to run and why. */
import { parse } from 'node-cron'
import { calendar, nextOpen } from './calendar.ts'
import type { Calendar, Closed } from './calendar.ts'
import type { Clock } from '../core/clock.ts'
import { cron } from './cron.ts'
import type { Cron } from './cron.ts'
import { daysOf } from './cron-days.ts'
import type { Days } from './cron-days.ts'
import { messageOf } from '../core/errors.ts'
import type { SkipCause } from '../core/events.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import { zoneCache } from './zone.ts'
import type { Zone } from './zone.ts'
import type { Handled, HandledStore } from './watermark.ts'
import { Heap } from './heap.ts'
import { Task } from './due-times.ts'
import type { Outcome } from './due-times.ts'

/** None of these may wait: the next due time waits for them. */
export interface ScheduleEvents {
  /** To run now. Its slot is on the disk as handled and never comes again. */
  due(entry: ScheduledExperiment, slot: Date): void
  /** Not to run. One call may stand for many slots (then `slot` is the last, and the reason says how many). */
  skipped(entry: ScheduledExperiment, slot: Date, cause: SkipCause, reason: string): void
  /** A blackout begins, or the window ends: a run in progress is to be undone. */
  closed(entry: ScheduledExperiment, cause: Closed['cause'], reason: string): void
  /** The clock was set, or the machine slept. */
  stepped(byMs: number): void
  /** `schedule.json` cannot be written: what is due meanwhile is skipped. */
  problem(message: string): void
}

export interface ScheduleOptions {
  entries: readonly ScheduledExperiment[]
  /** Of the state folder; makes jitter repeatable. */
  install: string
  clock: Clock
  handled: HandledStore
  events: ScheduleEvents
}

export interface Schedule {
  start(): void
  /** Nothing is due any more when it returns. */
  stop(): void
  /** Goes on with other entries. What is handled stays handled; a changed schedule starts afresh. */
  replace(entries: readonly ScheduledExperiment[]): void
  /** The next due time that windows and blackouts allow, later than `after`; undefined when there is none. */
  next(name: string, after?: number): Date | undefined
  /** Why an experiment may not run now, if it may not. */
  closedNow(name: string): Closed | undefined
}

/** So often at least it looks at the clock: it may have been set. */
const LONGEST_WAIT_MS = 30_000
/** Clocks are also adjusted little by little. */
const STEP_MS = 1_000
/** A schedule with nothing in sight is looked at again. */
const LOOK_AGAIN_MS = 365 * 86_400_000
/** Further ahead than that, the clock was wrong and not just put right by a little. */
const AHEAD_MS = 24 * 60 * 60_000
const RETIRED_KEPT_MS = 30 * 86_400_000

export function openSchedule(options: ScheduleOptions): Schedule {
  return new Timetable(options)
}

/** Experiments that share windows and blackouts, so that thousands cost one look when these begin or end. */
interface Watch {
  calendar: Calendar
  tasks: Task[]
  open: boolean
}

interface Item {
  at: number
  /** At the same instant: first what closes, then experiments as in the file. */
  order: number
  what: Task | Watch
}

class Timetable implements Schedule {
  readonly #options: ScheduleOptions
  readonly #zone = zoneCache()
  readonly #items = new Heap<Item>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order))
  readonly #days = new Map<string, Days>()
  #crons = new Map<string, Cron>()
  #tasks = new Map<string, Task>()
  #watches = new Map<string, Watch>()
  #wake = new AbortController()
  #running = false
  #unsaved = false
  /** How due times can have passed that are found late. */
  #why = 'while no daemon was up'
  #seen = { wall: 0, monotonic: 0 }

  constructor(options: ScheduleOptions) {
    this.#options = options
    this.replace(options.entries)
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    this.#look()
    this.#tellAhead()
    void this.#run()
  }

  stop(): void {
    this.#running = false
    this.#wake.abort()
  }

  replace(entries: readonly ScheduledExperiment[]): void {
    const { handled, clock, install } = this.#options
    const now = clock.now()
    const before = this.#watches
    this.#tasks = new Map()
    this.#watches = new Map()
    const crons = new Map<string, Cron>()
    for (const entry of entries) {
      if (!entry.enabled || entry.schedule === undefined) continue
      const key = `${entry.schedule} ${entry.timezone}`
      const zone = this.#zone(entry.timezone)
      const times = crons.get(key) ?? this.#crons.get(key) ?? this.#cron(entry.schedule, zone)
      crons.set(key, times)
      const record = recordFor(handled.slots.get(entry.experiment.name), key, now)
      handled.slots.set(entry.experiment.name, record)
      const watch = this.#watch(entry, before, now)
      const task = new Task({ entry, cron: times, zone, calendar: watch?.calendar, install }, record)
      task.rewind(now)
      watch?.tasks.push(task)
      this.#tasks.set(task.name, task)
    }
    this.#crons = crons
    this.#retire(now)
    this.#arm()
    this.#unsaved = true
    this.#wake.abort()
  }

  next(name: string, after = -Infinity): Date | undefined {
    const task = this.#tasks.get(name)
    const next = task && nextOpen(task.cron, task.calendar, Math.max(task.handled.until, after))
    return next && new Date(next.at)
  }

  closedNow(name: string): Closed | undefined {
    return this.#tasks.get(name)?.closedAt(this.#options.clock.now())
  }

  /** The clock has been wrong, or is: silence for years must not look like peace. */
  #tellAhead(): void {
    for (const { name, handled } of this.#tasks.values()) {
      if (handled.until < this.#seen.wall + AHEAD_MS) continue
      const until = new Date(handled.until).toISOString()
      this.#options.events.problem(
        `${name} is not due before ${until}: the clock was there when it last ran, and no due time runs twice. Where the clock is right now, stop the daemon and remove schedule.json`,
      )
    }
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const stopped = (): boolean => !this.#running
    while (!stopped()) {
      if (this.#wake.signal.aborted) this.#wake = new AbortController()
      this.#notice()
      await this.#tick(clock.now())
      if (stopped()) return
      const wait = Math.min((this.#items.top?.at ?? Infinity) - clock.now(), LONGEST_WAIT_MS)
      // Ends early when it is told to stop, or has other entries.
      await clock.sleep(Math.max(0, wait), this.#wake.signal).catch(() => undefined)
    }
  }

  /** The wall clock against the monotonic one: if they went apart, every waiting time is worked out anew. */
  #notice(): void {
    const { wall, monotonic } = this.#seen
    this.#look()
    const step = Math.round(this.#seen.wall - wall - (this.#seen.monotonic - monotonic))
    if (Math.abs(step) < STEP_MS) return
    this.#why = 'while the clock was set forward, or the machine slept'
    for (const task of this.#tasks.values()) task.rewind(this.#seen.wall)
    this.#arm()
    this.#tell(() => this.#options.events.stepped(step))
  }

  #look(): void {
    const { clock } = this.#options
    this.#seen = { wall: clock.now(), monotonic: clock.monotonic() }
  }

  /** Everything that has come up: first on the disk, then told. */
  async #tick(now: number): Promise<void> {
    const found: { task: Task; outcome: Outcome }[] = []
    for (let top = this.#items.top; top !== undefined && top.at <= now; top = this.#items.top) {
      this.#items.pop()
      if ('tasks' in top.what) this.#turn(top.what, now)
      else {
        for (const outcome of top.what.take(now, this.#why)) found.push({ task: top.what, outcome })
        this.#push(top.what, top.order, now)
      }
    }
    this.#why = 'while this process could not run'
    if (found.length === 0 && !this.#unsaved) return
    const problem = await this.#save()
    for (const { task, outcome } of found) this.#tell(() => this.#hand(task.entry, outcome, problem))
  }

  async #save(): Promise<string | undefined> {
    try {
      this.#unsaved = false
      await this.#options.handled.save()
      return undefined
    } catch (error) {
      this.#unsaved = true
      const message = `cannot write schedule.json, so that what is due might run twice: ${messageOf(error)}`
      this.#tell(() => this.#options.events.problem(message))
      return message
    }
  }

  #hand(entry: ScheduledExperiment, outcome: Outcome, problem: string | undefined): void {
    const { events } = this.#options
    const slot = new Date(outcome.slot)
    if (outcome.skip !== undefined) events.skipped(entry, slot, outcome.skip, outcome.reason)
    else if (problem !== undefined) events.skipped(entry, slot, 'error', problem)
    else if (!this.#running) events.skipped(entry, slot, 'stopping', 'the daemon was told to stop')
    else events.due(entry, slot)
  }

  /** A listener's mistake must not end the schedule. */
  #tell(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#options.events.problem(`a bug: ${messageOf(error)}`)
    }
  }

  /** A window or a blackout began or ended. */
  #turn(watch: Watch, now: number): void {
    const { closed, until } = watch.calendar.at(now)
    if (closed && watch.open) {
      for (const { entry } of watch.tasks) {
        this.#tell(() => this.#options.events.closed(entry, closed.cause, closed.reason))
      }
    }
    watch.open = closed === undefined
    if (until !== undefined) this.#items.push({ at: until, order: -1, what: watch })
  }

  /** Thousands of schedules have a few kinds of days. */
  #cron(schedule: string, zone: Zone): Cron {
    const fields = parse(schedule)
    const key = schedule.trim().split(/\s+/).slice(3).join(' ')
    const days = this.#days.get(key) ?? daysOf(fields)
    this.#days.set(key, days)
    return cron(fields, zone, days)
  }

  #watch(entry: ScheduledExperiment, before: ReadonlyMap<string, Watch>, now: number): Watch | undefined {
    if (entry.windows.length === 0 && entry.blackouts.length === 0) return undefined
    const key = JSON.stringify([entry.timezone, entry.windows, entry.blackouts])
    const known = this.#watches.get(key)
    if (known) return known
    const dates = before.get(key)?.calendar ?? calendar(entry, this.#zone(entry.timezone))
    if (dates === undefined) return undefined
    // New rules count as open until they are looked at: if they forbid a run in progress, it is told at once.
    const watch: Watch = { calendar: dates, tasks: [], open: before.get(key)?.open ?? true }
    if (!this.#running) watch.open = dates.at(now).closed === undefined
    this.#watches.set(key, watch)
    return watch
  }

  #retire(now: number): void {
    const { slots } = this.#options.handled
    for (const [name, record] of slots) {
      if (this.#tasks.has(name)) continue
      if (record.until < now - RETIRED_KEPT_MS) slots.delete(name)
      else record.retired = true
    }
  }

  #arm(): void {
    const now = this.#options.clock.now()
    this.#items.clear()
    for (const watch of this.#watches.values()) this.#items.push({ at: now, order: -1, what: watch })
    let order = 0
    for (const task of this.#tasks.values()) this.#push(task, order++, now)
  }

  #push(task: Task, order: number, now: number): void {
    this.#items.push({ at: task.wakeAt ?? now + LOOK_AGAIN_MS, order, what: task })
  }
}

/** What is known of a schedule goes on; a new one, an edited one and one that comes back have missed nothing. */
function recordFor(known: Handled | undefined, schedule: string, now: number): Handled {
  if (known === undefined) return { schedule, until: now, passed: { from: 0, to: now } }
  if (known.schedule === schedule && known.retired !== true) return known
  const { passed, ahead, until } = known
  return { schedule, until: Math.max(until, now), ...(passed && { passed }), ...(ahead && { ahead }) }
}
