/** Which hours of the day a time zone's clocks jump over or go through twice in a year. */

export interface ClockChanges {
  /** Local hours that do not exist on one day of the year. */
  skipped: number[]
  /** Local hours that exist twice on one day. */
  repeated: number[]
}

const HOUR = 3_600_000

/** Looks at every hour of the year (UTC) where the day's difference to UTC is not the day before's. */
export function clockChanges(zone: string, year: number): ClockChanges {
  const offsetAt = offsets(zone)
  const skipped = new Set<number>()
  const repeated = new Set<number>()
  const end = Date.UTC(year + 1, 0, 1)
  for (let day = Date.UTC(year, 0, 1); day < end; day += 24 * HOUR) {
    if (offsetAt(day) === offsetAt(day + 24 * HOUR)) continue
    for (let at = day; at < day + 24 * HOUR; at += HOUR) {
      const [before, after] = [offsetAt(at), offsetAt(at + HOUR)]
      const local = at + HOUR
      for (let wall = local + before; wall < local + after; wall += HOUR / 2) skipped.add(new Date(wall).getUTCHours())
      for (let wall = local + after; wall < local + before; wall += HOUR / 2) repeated.add(new Date(wall).getUTCHours())
    }
  }
  return { skipped: [...skipped], repeated: [...repeated] }
}

/** Milliseconds that the zone's clocks are ahead of UTC at a moment. */
function offsets(zone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  return (at) => {
    const name = format.formatToParts(at).find((part) => part.type === 'timeZoneName')?.value ?? ''
    const [, sign, hours, minutes, seconds] = /([-+−])(\d+):?(\d+)?:?(\d+)?/.exec(name) ?? []
    const ahead = Number(hours ?? 0) * HOUR + Number(minutes ?? 0) * 60_000 + Number(seconds ?? 0) * 1_000
    return sign === '+' ? ahead : -ahead
  }
}
