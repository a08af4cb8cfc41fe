/** Which days a schedule runs on, and which times of such a day, with the meaning that node-cron gives its fields. */

/** The fields of an expression as node-cron's `parse` gives them. */
export interface CronFields {
  second: readonly number[]
  minute: readonly number[]
  hour: readonly number[]
  /** Numbers, `L`, `L-3`, `15W`, `LW`. */
  dayOfMonth: readonly (number | string)[]
  month: readonly number[]
  /** Numbers (0 is Sunday), `5L` (the last Friday), `1#2` (the second Monday). */
  dayOfWeek: readonly (number | string)[]
}

export const DAY_MS = 86_400_000

/** Each value once: node-cron keeps those that an expression gives twice (`2,2`, `0-12,12-23`). */
export function asSets(fields: CronFields): CronFields {
  const once = <T>(values: readonly T[]): T[] => [...new Set(values)]
  return {
    second: once(fields.second),
    minute: once(fields.minute),
    hour: once(fields.hour),
    dayOfMonth: once(fields.dayOfMonth),
    month: once(fields.month),
    dayOfWeek: once(fields.dayOfWeek),
  }
}

/** Days are counted from 1970-01-01. */
export interface Days {
  has(day: number): boolean
  /** The first day from `day` on, looking no further than `limit`. */
  from(day: number, limit: number): number | undefined
  /** How many there are from `day` up to, not including, `end`. */
  count(day: number, end: number): number
}

/** A month's days as bits are worked out once; so many months are remembered. */
const MONTHS_KEPT = 120

/** Day of month AND day of week. */
export function daysOf({ dayOfMonth, month, dayOfWeek }: CronFields): Days {
  const months = new Set(month)
  const masks = new Map<number, number>()
  const maskOf = (date: Date): number => {
    if (!months.has(date.getUTCMonth() + 1)) return 0
    const key = date.getUTCFullYear() * 12 + date.getUTCMonth()
    const known = masks.get(key)
    if (known !== undefined) return known
    if (masks.size >= MONTHS_KEPT) masks.clear()
    const mask = monthMask(date.getUTCFullYear(), date.getUTCMonth(), dayOfMonth, dayOfWeek)
    masks.set(key, mask)
    return mask
  }
  /** Calls back with each month's bits between the two days, and the day of its first; until it is told to stop. */
  const walk = (day: number, end: number, visit: (mask: number, first: number) => boolean): void => {
    while (day < end) {
      const date = new Date(day * DAY_MS)
      const first = day - (date.getUTCDate() - 1)
      const next = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / DAY_MS
      const stop = Math.min(next, end) - first
      const mask = maskOf(date) & (-1 << (day - first)) & (stop >= 32 ? -1 : (1 << stop) - 1)
      if (visit(mask, first)) return
      day = next
    }
  }
  return {
    has(day) {
      const date = new Date(day * DAY_MS)
      return (maskOf(date) & (1 << (date.getUTCDate() - 1))) !== 0
    },
    from(day, limit) {
      let found: number | undefined
      walk(day, limit + 1, (mask, first) => {
        if (mask !== 0) found = first + lowestBit(mask)
        return mask !== 0
      })
      return found
    },
    count(day, end) {
      let n = 0
      walk(day, end, (mask) => {
        for (let rest = mask; rest !== 0; rest &= rest - 1) n++
        return false
      })
      return n
    },
  }
}

/** Seconds of the day. */
export interface Times {
  perDay: number
  first: number
  /** The first later than `second`, on the same day. */
  after(second: number): number | undefined
  /** How many are not later than `second`. */
  upTo(second: number): number
}

export function timesOf(fields: CronFields): Times {
  const [hours, minutes, seconds] = [sorted(fields.hour), sorted(fields.minute), sorted(fields.second)]
  const [firstHour, firstMinute, firstSecond] = [hours[0] ?? 0, minutes[0] ?? 0, seconds[0] ?? 0]
  const later = (list: readonly number[], value: number): number | undefined => list.find((v) => v > value)
  const below = (list: readonly number[], value: number): number => list.filter((v) => v < value).length
  const time = (h: number, m: number, s: number): number => h * 3_600 + m * 60 + s
  return {
    perDay: hours.length * minutes.length * seconds.length,
    first: time(firstHour, firstMinute, firstSecond),
    after(second) {
      const [h, m, s] = split(second)
      if (hours.includes(h)) {
        const next = minutes.includes(m) ? later(seconds, s) : undefined
        if (next !== undefined) return time(h, m, next)
        const minute = later(minutes, m)
        if (minute !== undefined) return time(h, minute, firstSecond)
      }
      const hour = later(hours, h)
      return hour === undefined ? undefined : time(hour, firstMinute, firstSecond)
    },
    upTo(second) {
      const [h, m, s] = split(second)
      const hour = below(hours, h) * minutes.length * seconds.length
      if (!hours.includes(h)) return hour
      const minute = hour + below(minutes, m) * seconds.length
      return minutes.includes(m) ? minute + below(seconds, s + 1) : minute
    },
  }
}

function split(second: number): [number, number, number] {
  return [Math.floor(second / 3_600), Math.floor(second / 60) % 60, second % 60]
}

function sorted(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b)
}

function lowestBit(mask: number): number {
  return 31 - Math.clz32(mask & -mask)
}

function monthMask(
  year: number,
  month: number,
  dayOfMonth: CronFields['dayOfMonth'],
  dayOfWeek: CronFields['dayOfWeek'],
): number {
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  const first = new Date(Date.UTC(year, month, 1)).getUTCDay()
  const weekday = (day: number): number => (first + day - 1) % 7
  const dates = dayOfMonth.map((value) => dateOf(value, last, weekday))
  let mask = 0
  for (let day = 1; day <= last; day++) {
    if (dates.includes(day) && dayOfWeek.some((value) => fitsWeekday(value, day, weekday(day), last)))
      mask |= 1 << (day - 1)
  }
  return mask
}

/** The day of the month that one entry of its field means. */
function dateOf(value: number | string, last: number, weekday: (day: number) => number): number | undefined {
  if (typeof value === 'number') return value
  if (value === 'L') return last
  const before = /^L-(\d+)$/.exec(value)?.[1]
  if (before !== undefined) return last - Number(before)
  const near = /^(\d+|L)W$/.exec(value)?.[1]
  return near === undefined ? undefined : nearestWorkday(near === 'L' ? last : Number(near), last, weekday)
}

/** Within the same month. */
function nearestWorkday(day: number, last: number, weekday: (day: number) => number): number | undefined {
  if (day < 1 || day > last) return undefined
  if (weekday(day) === 6) return day === 1 ? day + 2 : day - 1
  if (weekday(day) === 0) return day === last ? day - 2 : day + 1
  return day
}

function fitsWeekday(value: number | string, day: number, weekday: number, last: number): boolean {
  if (typeof value === 'number') return value === weekday
  const [, named, kind, nth] = /^(\d)(L|#)(\d)?$/i.exec(value) ?? []
  if (Number(named) % 7 !== weekday) return false
  return kind === '#' ? Math.ceil(day / 7) === Number(nth) : day + 7 > last
}
