/** What will run and what will not, in the days to come: the schedule told in advance, without its clock. */
import { parse } from 'node-cron'
import { calendar, nextOpen } from './calendar.ts'
import type { Calendar } from './calendar.ts'
import { cron } from './cron.ts'
import type { Cron, Due } from './cron.ts'
import type { SkipCause } from '../core/events.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import { formatWall, wallAt, zoneCache } from './zone.ts'
import type { Zone } from './zone.ts'

export interface Coming {
  entry: ScheduledExperiment
  slot: number
  /** What the clock there shows. */
  local: string
  /** The fault is undone by then, jitter and soak included; what applying and undoing take comes on top. */
  until: number
  /** The windows it is in, as written. */
  windows: string[]
  skip?: { cause: SkipCause; reason: string }
  /** Names of experiments whose soak may overlap. */
  overlaps: string[]
  /** With it, more may be running than `max_concurrent`: it waits, or (`on_busy: skip`) does not run. */
  crowded: boolean
}

export interface Forecast {
  /** In the order of time; of experiments with very many due times only the first. */
  coming: Coming[]
  /** By name: how many due times there are, and how many of them are not in `coming`. */
  counts: Map<string, Count>
}

export interface Count {
  due: number
  more: number
  /** The first due time that may run after the days that are told: an instant, and what the clock there shows. */
  later?: { at: number; local: string }
}

/** Of one experiment so many are told; when there are more, only the first few. */
const MOST_TOLD = 1_000
const FIRST_TOLD = 20

export function forecast(
  entries: readonly ScheduledExperiment[],
  { from, until, slots }: { from: number; until: number; slots: number },
): Forecast {
  const zone = zoneCache()
  const counts: Forecast['counts'] = new Map()
  const coming = entries.flatMap((entry) => {
    if (!entry.enabled || entry.schedule === undefined) return []
    const place = zone(entry.timezone)
    const times = cron(parse(entry.schedule), place)
    const dates = calendar(entry, place)
    const due = times.count(from, until)
    const found = due > MOST_TOLD ? firstOf(times, dates, from, until) : all(times, from, until)
    const later = due === 0 ? nextOpen(times, dates, until) : undefined
    counts.set(entry.experiment.name, {
      due,
      more: due > MOST_TOLD ? due - found.length : 0,
      ...(later && { later: { at: later.at, local: formatWall(wallAt(place, later.at)) } }),
    })
    return tell(entry, found, place, dates, times)
  })
  coming.sort((a, b) => a.slot - b.slot)
  findOverlaps(coming, slots)
  return { coming, counts }
}

/** Of very many, a stretch in which none may run is told by its first. */
function firstOf(times: Cron, dates: Calendar | undefined, from: number, until: number): Due[] {
  const found: Due[] = []
  for (let due = times.next(from); due && due.at <= until && found.length < FIRST_TOLD;) {
    found.push(due)
    const state = dates?.at(due.at)
    due = times.next(state?.closed ? Math.max(due.at, (state.until ?? Infinity) - 1) : due.at)
  }
  return found
}

function all(times: Cron, from: number, until: number): Due[] {
  const found: Due[] = []
  for (let due = times.next(from); due && due.at <= until; due = times.next(due.at)) found.push(due)
  return found
}

/** The due times of one experiment, with what is known of each by itself. */
function tell(
  entry: ScheduledExperiment,
  found: readonly Due[],
  zone: Zone,
  dates: Calendar | undefined,
  times: Cron,
): Coming[] {
  let busyUntil = -Infinity
  return found.flatMap(({ at, exists, lost }) => {
    const state = dates?.at(at)
    const jitter = Math.min(entry.jitter_ms, (times.next(at)?.at ?? Infinity) - at)
    const base = {
      entry,
      slot: at,
      local: formatWall(wallAt(zone, at)),
      until: at + jitter + entry.experiment.duration_ms,
      windows: state?.within ?? [],
      overlaps: [],
      crowded: false,
    }
    const runsAfterJump = !exists && entry.on_missed === 'run_once'
    const gone: Coming[] =
      lost && !runsAfterJump
        ? [{ ...base, local: formatWall(lost.first), skip: { cause: 'no_such_time', reason: noSuchTime(lost, zone) } }]
        : []
    if (!exists && !runsAfterJump) return gone
    const closed = state?.closed
    if (closed) return [...gone, { ...base, skip: closed }]
    if (at < busyUntil) {
      return [...gone, { ...base, skip: { cause: 'overlap' as const, reason: 'its previous run is not over' } }]
    }
    busyUntil = at + entry.experiment.duration_ms
    return [...gone, base]
  })
}

function noSuchTime({ count, last }: NonNullable<Due['lost']>, zone: Zone): string {
  const more = count > 1 ? `, and ${count - 1} more up to ${formatWall(last)}` : ''
  return `the clocks of ${zone.name} are set forward over it${more}`
}

/** By their soaks and what jitter may add; what applying and undoing take is not known before. */
function findOverlaps(coming: readonly Coming[], slots: number): void {
  let open: Coming[] = []
  for (const run of coming) {
    if (run.skip) continue
    open = open.filter((other) => other.until > run.slot)
    for (const other of open) {
      run.overlaps.push(other.entry.experiment.name)
      other.overlaps.push(run.entry.experiment.name)
    }
    open.push(run)
    run.crowded = open.length > slots
  }
}
