/** The due times of one experiment: which are to run now, and what is to be said of those that passed. */
import type { Calendar, Closed } from './calendar.ts'
import type { Cron, Due } from './cron.ts'
import { formatDuration } from '../core/duration.ts'
import type { SkipCause } from '../core/events.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import { seededRandom } from '../core/random.ts'
import { formatWall, wallAt } from './zone.ts'
import type { Zone } from './zone.ts'
import type { Handled, Range } from './watermark.ts'

/** A due time that is handled late by less than this still runs: a busy machine must not cost a night's run. */
const TOLERANCE_MS = 30_000

export type Outcome = { slot: number } & ({ skip?: undefined } | { skip: SkipCause; reason: string })

export interface TaskParts {
  entry: ScheduledExperiment
  cron: Cron
  zone: Zone
  calendar: Calendar | undefined
  /** Of this installation: with it, jitter is the same after a restart. */
  install: string
}

export class Task {
  readonly entry: ScheduledExperiment
  readonly calendar: Calendar | undefined
  /** What is handled; the same object as in the store. */
  readonly handled: Handled
  readonly #parts: TaskParts

  constructor(parts: TaskParts, handled: Handled) {
    this.entry = parts.entry
    this.calendar = parts.calendar
    this.handled = handled
    this.#parts = parts
  }

  get name(): string {
    return this.entry.experiment.name
  }

  /** The due times that are not handled. */
  get cron(): Cron {
    return without(this.#parts.cron, this.handled.ahead)
  }

  /** When there will be something to do. */
  get wakeAt(): number | undefined {
    const next = this.cron.next(this.handled.until)
    return next && this.#start(next)
  }

  /**
   * Everything that has come up by now, in order; it counts as handled from here on. `why` says how due times could pass.
   */
  take(now: number, why: string): Outcome[] {
    const { cron, handled } = this
    const from = handled.until
    const first = cron.next(from)
    if (first === undefined || this.#start(first) > now) return []
    const onTime: Due[] = []
    let due: Due | undefined = cron.newest(from, now)
    const newest = (): Due | undefined => (due && due.at > first.at ? cron.newest(from, due.at - 1) : undefined)
    if (due && this.#start(due) > now) due = newest()
    handled.until = Math.max(from, due?.at ?? from)
    for (; due && this.#start(due) >= now - TOLERANCE_MS; due = newest()) onTime.unshift(due)
    const late = due && this.#late(cron, { from, first, last: due }, now, why, onTime.length > 0)
    if (handled.ahead && handled.ahead.to <= handled.until) delete handled.ahead
    return [...(late ?? []), ...onTime.flatMap((slot) => this.#onTime(slot, now))]
  }

  /** The clock was set back: due times that it had jumped over without a run are to come again. */
  rewind(now: number): void {
    const { passed, ahead, until } = this.handled
    if (passed === undefined || now >= passed.to) return
    this.handled.until = Math.max(now, passed.from)
    const to = Math.max(until, ahead?.to ?? 0)
    if (passed.to < to) this.handled.ahead = { from: passed.to, to }
    delete this.handled.passed
  }

  closedAt(at: number): Closed | undefined {
    return this.calendar?.at(at).closed
  }

  #onTime(due: Due, now: number): Outcome[] {
    const lost = due.lost ? [this.#lost(due.at, due.lost)] : []
    if (due.exists) return [...lost, this.#open(due.at, now)]
    return this.entry.on_missed === 'run_once' ? [this.#open(due.at, now)] : lost
  }

  /** Those that are too late: one record for all of them, and perhaps one run. */
  #late(
    cron: Cron,
    { from, first, last }: { from: number; first: Due; last: Due },
    now: number,
    why: string,
    followed: boolean,
  ): Outcome[] {
    const { on_missed: onMissed, missed_grace_ms: grace } = this.entry
    const runs = onMissed === 'run_once' && !followed && now - last.at <= grace
    this.#pass(from, runs ? last.at - 1 : last.at)
    if (runs) {
      const earlier = cron.newest(from, last.at - 1)
      const count = cron.count(from, last.at - 1)
      const note = earlier && this.#missed(count, first.at, earlier.at, `${why}; the one after them runs now instead`)
      return [...(note ? [note] : []), this.#open(last.at, now)]
    }
    if (first.at === last.at && last.lost && !last.exists) return [this.#lost(last.at, last.lost)]
    const old =
      onMissed === 'run_once' && !followed
        ? `, and the newest is older than missed_grace (${formatDuration(grace)})`
        : ''
    return [this.#missed(cron.count(from, last.at), first.at, last.at, why + old)]
  }

  /** What was handled before the clock was set back has run: it is no part of what has not. */
  #pass(from: number, until: number): void {
    const to = Math.min(until, this.handled.ahead?.from ?? until)
    if (from < to) this.handled.passed = { from, to }
    else delete this.handled.passed
  }

  #missed(count: number, first: number, last: number, why: string): Outcome {
    const times =
      count === 1
        ? `its due time ${this.#local(last)}`
        : `${count} due times from ${this.#local(first)} to ${this.#local(last)}`
    return { slot: last, skip: 'missed', reason: `${times} passed ${why}` }
  }

  #lost(at: number, { count, first, last }: NonNullable<Due['lost']>): Outcome {
    const times =
      count === 1 ? formatWall(first) : `${count} due times from ${formatWall(first)} to ${formatWall(last)}`
    const verb = count === 1 ? 'does' : 'do'
    const reason = `${times} ${verb} not exist in ${this.#parts.zone.name}: the clocks were set forward`
    return { slot: at, skip: 'no_such_time', reason }
  }

  /** To run, unless its windows and blackouts forbid its due time, or now. */
  #open(slot: number, now: number): Outcome {
    const closed = this.closedAt(slot) ?? this.closedAt(now)
    return closed ? { slot, skip: closed.cause, reason: closed.reason } : { slot }
  }

  /** Its due time, and up to `jitter` later; but always before the next one. */
  #start({ at }: Due): number {
    const { jitter_ms: jitter } = this.entry
    if (jitter === 0) return at
    const next = this.#parts.cron.next(at)?.at ?? Infinity
    const seed = `${this.#parts.install}/${this.name}/${new Date(at).toISOString()}`
    return at + Math.floor(seededRandom(seed).next() * Math.min(jitter, next - at))
  }

  #local(at: number): string {
    return `${formatWall(wallAt(this.#parts.zone, at))} ${this.#parts.zone.name}`
  }
}

/** A schedule without the due times of a range. */
function without(cron: Cron, range: Range | undefined): Cron {
  if (range === undefined) return cron
  const inside = (due: Due | undefined): boolean => due !== undefined && range.from < due.at && due.at <= range.to
  return {
    next(after) {
      const due = cron.next(after)
      return inside(due) ? cron.next(range.to) : due
    },
    newest(after, until) {
      const due = cron.newest(after, until)
      return inside(due) ? cron.newest(after, Math.min(until, range.from)) : due
    },
    count(after, until) {
      const [from, to] = [Math.max(after, range.from), Math.min(until, range.to)]
      return cron.count(after, until) - (from < to ? cron.count(from, to) : 0)
    },
  }
}
