/**
 * Windows and blackouts: when an experiment may run at all. Pure, with no clock of its own.
 *
 * A period goes by the clocks of its zone: it begins the first time they show its beginning and ends the last time they
 * show its end. In a night in which they are set back, one over the repeated hour is longer; one that lies wholly in the
 * hour that they jump over does not come.
 */
import type { CalendarRules, Period } from '../core/periods.ts'
import type { Cron, Due } from './cron.ts'
import { DAY_MS } from './cron-days.ts'
import { formatWall, instantsOf, wallAt } from './zone.ts'
import type { Zone } from './zone.ts'

export interface Closed {
  cause: 'window' | 'blackout'
  /** For people. */
  reason: string
}

export interface CalendarState {
  /** Undefined: runs may begin and go on. */
  closed?: Closed
  /** The windows it is in, as written. */
  within: string[]
  /** The next instant at which this may change; undefined when it never does. */
  until?: number
}

export interface Calendar {
  at(instant: number): CalendarState
}

/** Undefined where there are no rules. */
export function calendar({ windows, blackouts }: CalendarRules, zone: Zone): Calendar | undefined {
  const layers = windows.filter((layer) => layer.length > 0)
  if (layers.length === 0 && blackouts.length === 0) return undefined
  const periods = [...layers.flat(), ...blackouts]
  let known: { from: number; state: CalendarState } | undefined
  return {
    at(instant) {
      if (known && known.from <= instant && instant < (known.state.until ?? Infinity)) return known.state
      const spans = new Map(periods.map((period) => [period, spansNear(period, zone, instant)]))
      const holds = (period: Period): boolean =>
        spans.get(period)?.some(({ from, to }) => from <= instant && instant < to) === true
      const bounds = [...spans.values()].flat().flatMap(({ from, to }) => [from, to])
      const until = Math.min(...bounds.filter((bound) => bound > instant))
      const closed = whyClosed(layers, blackouts, holds, zone)
      const state: CalendarState = {
        within: layers
          .flat()
          .filter(holds)
          .map(({ text }) => text),
        ...(closed && { closed }),
        ...(Number.isFinite(until) && { until }),
      }
      known = { from: instant, state }
      return state
    },
  }
}

function whyClosed(
  layers: readonly (readonly Period[])[],
  blackouts: readonly Period[],
  holds: (period: Period) => boolean,
  zone: Zone,
): Closed | undefined {
  const blackout = blackouts.find(holds)
  if (blackout) {
    const why = blackout.reason === undefined ? '' : `: ${blackout.reason}`
    return { cause: 'blackout', reason: `blackout ${blackout.text}${why}` }
  }
  const missed = layers.find((layer) => !layer.some(holds))
  if (missed === undefined) return undefined
  return { cause: 'window', reason: `outside ${missed.map(({ text }) => text).join(', ')} (${zone.name})` }
}

interface Span {
  from: number
  to: number
}

/** Every occurrence that may hold the instant, and the next one. Those that the clocks jump over are empty and left out. */
function spansNear(period: Period, zone: Zone, instant: number): Span[] {
  const spans = wallSpans(period, wallAt(zone, instant)).map(([from, to]) => ({
    from: instantsOf(zone, from).first,
    to: instantsOf(zone, to).last,
  }))
  return spans.filter(({ from, to }) => from < to)
}

/** In wall time. Of a weekly one, from two days before to ten days after: a week later it comes again. */
function wallSpans({ days, from, to }: Period, wall: number): [number, number][] {
  if (days === undefined) return [[from, to]]
  const today = Math.floor(wall / DAY_MS)
  return Array.from({ length: 13 }, (_, i) => today - 2 + i)
    .filter((day) => days.includes(weekday(day)))
    .map((day) => [day * DAY_MS + from * 60_000, day * DAY_MS + to * 60_000])
}

/** 1970-01-01 was a Thursday. */
function weekday(day: number): number {
  return (((day + 4) % 7) + 7) % 7
}

/** So many stretches in a row without a due time: there is none. */
const MOST_CLOSED = 400

/** The first due time after an instant that windows and blackouts allow; undefined when there is none in sight. */
export function nextOpen(schedule: Pick<Cron, 'next'>, dates: Calendar | undefined, after: number): Due | undefined {
  let from = after
  for (let tries = 0; tries < MOST_CLOSED; tries++) {
    const due = schedule.next(from)
    if (due === undefined) return undefined
    const state = dates?.at(due.at)
    if (state?.closed === undefined && due.exists) return due
    if (state?.closed !== undefined && state.until === undefined) return undefined
    from = state?.closed === undefined ? due.at : Math.max(due.at, (state.until ?? 0) - 1)
  }
  return undefined
}

/** How long it is open without a break at the longest, looking so far ahead; Infinity when it is never closed again. */
export function longestOpen(dates: Calendar, from: number, until: number): number {
  let longest = 0
  let since: number | undefined
  for (let at: number | undefined = from; at !== undefined && at < until;) {
    const state = dates.at(at)
    if (state.closed) since = undefined
    else since ??= at
    at = state.until
    if (since !== undefined) longest = Math.max(longest, (at ?? Infinity) - since)
  }
  return longest
}

/** `2026-12-24 00:00 to 2027-01-03 00:00`, for periods that are given by two moments. */
export function formatMoments(from: number, to: number): string {
  return `${formatWall(from).slice(0, 16)} to ${formatWall(to).slice(0, 16)}`
}
