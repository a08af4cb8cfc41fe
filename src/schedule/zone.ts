/**
 * Time zones: what the clocks of a place show at an instant, and at which instants they show a given time.
 *
 * A *wall time* is what a clock shows, written as the milliseconds that would give the same fields in UTC.
 */

/** The clocks are set: at this instant their distance to UTC changes, both in milliseconds. */
export interface Change {
  at: number
  before: number
  after: number
}

export interface Zone {
  readonly name: string
  /** Milliseconds that the clocks are ahead of UTC. */
  offsetAt(at: number): number
  /** The first change with `after` < at ≤ `until`. */
  nextChange(after: number, until: number): Change | undefined
}

export interface Instants {
  /** The first and the last instant that show the wall time; they differ where an hour comes twice. */
  first: number
  last: number
  /** The clocks are set forward over the wall time: both instants are then that of the change. */
  jump?: Change
}

const SECOND = 1_000
const HOUR = 3_600_000
const WEEK = 7 * 24 * HOUR
const CHUNK = 4 * WEEK

interface Chunk {
  start: number
  offset: number
  changes: Change[]
}

/** Opens each zone once: a formatter costs 50 KB and half a millisecond, and many schedules share a few zones. */
export function zoneCache(): (name: string) => Zone {
  const known = new Map<string, Zone>()
  return (name) => {
    const zone = known.get(name) ?? openZone(name)
    known.set(name, zone)
    return zone
  }
}

/** Offsets are looked at once a week, and what lies between two that differ is found by halving. Throws RangeError for no zone. */
export function openZone(name: string): Zone {
  const ask = offsets(name)
  const chunks = new Map<number, Chunk>()
  let latest: Chunk | undefined

  const chunkAt = (at: number): Chunk => {
    const index = Math.floor(at / CHUNK)
    if (latest?.start === index * CHUNK) return latest
    const chunk = chunks.get(index) ?? look(ask, index * CHUNK)
    chunks.set(index, chunk)
    latest = chunk
    return chunk
  }

  return {
    name,
    offsetAt(at) {
      const { offset, changes } = chunkAt(at)
      return changes.findLast((change) => change.at <= at)?.after ?? offset
    },
    nextChange(after, until) {
      for (let from = after; from <= until;) {
        const { start, changes } = chunkAt(from)
        const found = changes.find(({ at }) => at > after)
        if (found) return found.at <= until ? found : undefined
        from = start + CHUNK
      }
      return undefined
    },
  }
}

/** What a clock there shows. */
export function wallAt(zone: Zone, at: number): number {
  return at + zone.offsetAt(at)
}

/** The instants that show a wall time. */
export function instantsOf(zone: Zone, wall: number): Instants {
  // No clock is more than 14 hours ahead of UTC, or 12 behind it.
  const until = wall + 13 * HOUR
  let from = wall - 15 * HOUR
  let offset = zone.offsetAt(from)
  const found: number[] = []
  let jump: Change | undefined
  for (;;) {
    const change = zone.nextChange(from, until)
    const at = wall - offset
    if (at >= from && (change === undefined || at < change.at)) found.push(at)
    if (change === undefined) break
    if (change.at + change.before <= wall && wall < change.at + change.after) jump = change
    from = change.at
    offset = change.after
  }
  const [first] = found
  if (first === undefined)
    return { first: jump?.at ?? wall - offset, last: jump?.at ?? wall - offset, ...(jump && { jump }) }
  return { first, last: found.at(-1) ?? first }
}

/** `2026-03-29 02:30:00`: a wall time as people write it. */
export function formatWall(wall: number): string {
  return new Date(wall).toISOString().slice(0, 19).replace('T', ' ')
}

/** The four weeks from `start`, and the first instant after them, so that no change falls between two chunks. */
function look(ask: (at: number) => number, start: number): Chunk {
  const changes: Change[] = []
  const offset = ask(start)
  let before = offset
  for (let at = start; at < start + CHUNK; at += WEEK) {
    const after = ask(at + WEEK - 1)
    if (after !== before) changes.push({ at: firstWith(ask, at - 1, at + WEEK - 1, before), before, after })
    before = after
  }
  const next = ask(start + CHUNK)
  if (next !== before) changes.push({ at: start + CHUNK, before, after: next })
  return { start, offset, changes }
}

/** The first instant after `from` whose offset is not `before`, to the second. */
function firstWith(ask: (at: number) => number, from: number, to: number, before: number): number {
  let [low, high] = [Math.floor(from / SECOND), Math.ceil(to / SECOND)]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (ask(middle * SECOND) === before) low = middle
    else high = middle
  }
  return high * SECOND
}

function offsets(name: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  return (at) => {
    const [, sign, hours, minutes, seconds] = /GMT([-+−])(\d+):?(\d+)?:?(\d+)?/.exec(format.format(at)) ?? []
    const ahead = Number(hours ?? 0) * HOUR + Number(minutes ?? 0) * 60_000 + Number(seconds ?? 0) * SECOND
    return sign === '+' ? ahead : -ahead || 0
  }
}
