/**
 * When a schedule is due: pure arithmetic over its six fields and a time zone, with no clock of its own.
 *
 * The rule where the clocks are set:
 * - A schedule whose hour field has all 24 hours is an interval: it goes by what the clock shows, in real time. An hour
 *   that is jumped over is not missed by it, and in one that comes twice it is due in both passes.
 * - Any other schedule is a list of times of the day. One that is jumped over is *lost*: it comes up at the instant of
 *   the jump, marked as such. One that comes twice is due in the first pass only.
 */
import { asSets, DAY_MS, daysOf, timesOf } from './cron-days.ts'
import type { CronFields, Days, Times } from './cron-days.ts'
import { instantsOf, wallAt } from './zone.ts'
import type { Zone } from './zone.ts'

/** An instant at which a schedule wants attention. */
export interface Due {
  at: number
  /** A time that the clock shows; when false, there is only `lost`. */
  exists: boolean
  /** The wall times that the clocks were set forward over at this instant, the first and the last of them. */
  lost?: { count: number; first: number; last: number }
}

export interface Cron {
  /** The first after an instant, not at it; undefined when there is none in the next forty years, and so none ever. */
  next(after: number): Due | undefined
  /** The last one with `after` < at ≤ `until`. */
  newest(after: number, until: number): Due | undefined
  /** How many due times, lost ones included, lie between: `after` < at ≤ `until`. Takes no longer for more of them. */
  count(after: number, until: number): number
}

/** From one 29 February that is a Monday to the next there may be forty years. */
const LOOK_AHEAD_DAYS = 41 * 366
/** No clock was ever set back by more. */
const LONGEST_REPEAT_MS = 25 * 3_600_000

/** `days` may be shared by schedules whose last three fields are the same. */
export function cron(parsed: CronFields, zone: Zone, days = daysOf(parsed)): Cron {
  const fields = asSets(parsed)
  const walls = wallsOf(days, timesOf(fields))
  const due = fields.hour.length === 24 ? interval(walls, zone) : timetable(walls, zone)
  return {
    ...due,
    // Infinity has no next.
    next: (after) => (Number.isFinite(after) ? due.next(after) : undefined),
    newest(after, until) {
      let found = due.next(after)
      if (found === undefined || found.at > until) return undefined
      // Nothing is due after `high`; `found` is due.
      for (let high = until; found.at < high;) {
        const middle = found.at + Math.floor((high - found.at) / 2)
        const next = due.next(middle)
        if (next && next.at <= until) found = next
        else high = middle
      }
      return found
    },
  }
}

/** Matching wall times, as if there were no time zones. */
interface Walls {
  next(after: number): number | undefined
  /** `after` < wall ≤ `until`. */
  count(after: number, until: number): number
}

function wallsOf(days: Days, times: Times): Walls {
  const split = (wall: number): [number, number] => {
    const day = Math.floor(wall / DAY_MS)
    return [day, Math.floor((wall - day * DAY_MS) / 1_000)]
  }
  const upTo = (day: number, second: number): number => (days.has(day) ? times.upTo(second) : 0)
  return {
    next(after) {
      const [day, second] = split(after)
      const today = days.has(day) ? times.after(second) : undefined
      if (today !== undefined) return day * DAY_MS + today * 1_000
      const later = days.from(day + 1, day + LOOK_AHEAD_DAYS)
      return later === undefined ? undefined : later * DAY_MS + times.first * 1_000
    },
    count(after, until) {
      if (until <= after) return 0
      const [[day, second], [lastDay, lastSecond]] = [split(after), split(until)]
      return days.count(day, lastDay) * times.perDay - upTo(day, second) + upTo(lastDay, lastSecond)
    },
  }
}

/** Goes by what the clock shows, stretch by stretch between two changes of it. */
function interval(walls: Walls, zone: Zone): Pick<Cron, 'next' | 'count'> {
  return {
    next(after) {
      let from = after
      let offset = zone.offsetAt(after)
      for (;;) {
        const wall = walls.next(from + offset)
        if (wall === undefined) return undefined
        const change = zone.nextChange(from, wall - offset)
        if (change === undefined) return { at: wall - offset, exists: true }
        // Not after the change but at it: it may itself be due.
        const at = change.at + change.after
        if (walls.next(at - 1) === at) return { at: change.at, exists: true }
        from = change.at
        offset = change.after
      }
    },
    count(after, until) {
      let n = 0
      let from = after
      let offset = zone.offsetAt(after)
      for (;;) {
        const change = zone.nextChange(from, until)
        if (change === undefined) return n + walls.count(from + offset, until + offset)
        n += walls.count(from + offset, change.at - 1 + offset)
        n += walls.count(change.at - 1 + change.after, change.at + change.after)
        from = change.at
        offset = change.after
      }
    },
  }
}

/** Goes by the times of the day: each once, at the first instant that shows it. */
function timetable(walls: Walls, zone: Zone): Pick<Cron, 'next' | 'count'> {
  return {
    next(after) {
      const wall = walls.next(latestWall(zone, after))
      if (wall === undefined) return undefined
      const { first, jump } = instantsOf(zone, wall)
      if (jump === undefined) return { at: first, exists: true }
      const end = jump.at + jump.after
      const count = walls.count(wall - 1, end - 1)
      let last = wall
      for (let next = walls.next(last); next !== undefined && next < end; next = walls.next(last)) last = next
      return { at: jump.at, exists: walls.next(end - 1) === end, lost: { count, first: wall, last } }
    },
    count: (after, until) => walls.count(latestWall(zone, after), latestWall(zone, until)),
  }
}

/** The latest wall time that the clock has shown, or was set over, up to an instant: in a second pass, the end of the first. */
function latestWall(zone: Zone, at: number): number {
  const change = zone.nextChange(at - LONGEST_REPEAT_MS, at)
  return Math.max(wallAt(zone, at), change ? change.at + change.before - 1 : -Infinity)
}
