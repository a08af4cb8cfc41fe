/** Which hours of the day a time zone's clocks jump over or go through twice in a year. */
import { openZone } from '../core/zone.ts'

export interface ClockChanges {
  /** Local hours that do not exist on one day of the year. */
  skipped: number[]
  /** Local hours that exist twice on one day. */
  repeated: number[]
}

const HALF_HOUR = 1_800_000

export function clockChanges(name: string, year: number): ClockChanges {
  const zone = openZone(name)
  const [skipped, repeated] = [new Set<number>(), new Set<number>()]
  const end = Date.UTC(year + 1, 0, 1)
  for (let from = Date.UTC(year, 0, 1); ;) {
    const change = zone.nextChange(from, end)
    if (change === undefined) return { skipped: [...skipped], repeated: [...repeated] }
    const { at, before, after } = change
    for (let wall = at + before; wall < at + after; wall += HALF_HOUR) skipped.add(new Date(wall).getUTCHours())
    for (let wall = at + after; wall < at + before; wall += HALF_HOUR) repeated.add(new Date(wall).getUTCHours())
    from = at
  }
}
