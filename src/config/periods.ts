/** Windows and blackouts as people write them: `Mon-Fri 22:00-06:00`, `2026-12-24..2027-01-02`, or `{from, to, reason}`. */
import { z } from 'zod'
import { formatMoments } from '../schedule/calendar.ts'
import type { Period } from '../core/periods.ts'
import { kindSchema } from './kinds.ts'
import type { Kind } from './kinds.ts'
import type { Source } from './source.ts'
import type { Path } from './tree.ts'

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const
const DAY_MS = 86_400_000
const FULL_DAY = 24 * 60

export interface Moment {
  wall: number
  wholeDay: boolean
}

const MOMENT = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}))?$/

function parseMoment(text: string): Moment | undefined {
  const [, year, month, day, hour, minute] = MOMENT.exec(text.trim()) ?? []
  if (year === undefined) return undefined
  const [y, m, d, h, min] = [year, month, day, hour ?? 0, minute ?? 0].map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ]
  const wall = Date.UTC(y, m - 1, d, h, min)
  const date = new Date(Date.UTC(y, m - 1, d))
  const exists = date.getUTCMonth() === m - 1 && date.getUTCDate() === d && min < 60 && h * 60 + min <= FULL_DAY
  return exists ? { wall, wholeDay: hour === undefined } : undefined
}

const moment: Kind<Moment> = {
  read: (value) => (typeof value === 'string' ? parseMoment(value) : undefined),
  explain({ value, text }) {
    if (typeof value === 'string' && MOMENT.test(value.trim())) return `is no day or time that exists, got ${text}`
    return `must be a day or a day with a time such as "2026-12-24" or "2026-12-24 18:00", got ${text}`
  },
}

const endMoment: Kind<never> = {
  read: () => undefined,
  explain: ({ text }) => `is not after "from", got ${text}: write a later moment`,
}

const reasonText: Kind<string> = {
  read: (value) => (typeof value === 'string' && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(value) ? value : undefined),
  explain: ({ text }) => `must be one line of text, got ${text}`,
}

/** One entry of `windows` or `blackouts`. */
export const periodSchema = z.union([
  z.string().transform((text, ctx): Period => {
    const period = parsePeriod(text)
    if (typeof period === 'object') return period
    ctx.addIssue({ code: 'custom', params: { kind: writtenPeriod } })
    return z.NEVER
  }),
  z
    .strictObject({
      from: kindSchema(moment).meta({ examples: ['from: "2026-11-27 18:00"'] }),
      to: kindSchema(moment).meta({ examples: ['to: "2026-11-30 06:00"'] }),
      reason: kindSchema(reasonText).optional(),
    })
    .transform(({ from, to, reason }, ctx): Period => {
      // A day without a time is meant to its end.
      const end = to.wholeDay ? to.wall + DAY_MS : to.wall
      if (from.wall < end) {
        return {
          from: from.wall,
          to: end,
          text: formatMoments(from.wall, end),
          ...(reason !== undefined && { reason }),
        }
      }
      ctx.addIssue({ code: 'custom', path: ['to'], params: { kind: endMoment } })
      return z.NEVER
    }),
])

/** One space at most between two words, as `parsePeriod` makes it. */
const WEEKLY = /^(?:([a-z][a-z ,-]*?)(?: |$))?(?:(\d{1,2}):(\d{2}) ?- ?(\d{1,2}):(\d{2}))?$/i

/** The period, or what is wrong with the text. */
export function parsePeriod(written: string): Period | string {
  const text = written.trim().replaceAll(/[–—]/g, '-').split(/\s+/).join(' ')
  if (text === '') return EXAMPLES
  const dates = /^(\d{4}-\d{2}-\d{2})(?:\s*\.\.\s*(\d{4}-\d{2}-\d{2}))?$/.exec(text)
  if (dates) return datesOf(text, dates[1] ?? '', dates[2] ?? dates[1] ?? '')
  const [match, names, ...clock] = WEEKLY.exec(text) ?? []
  if (match === undefined) return nearMiss(text) ?? EXAMPLES
  const days = names === undefined ? DAYS.map((_, day) => day) : daysOf(names)
  if (typeof days === 'string') return days
  if (clock[0] === undefined) return { days, from: 0, to: FULL_DAY, text }
  const [h1, m1, h2, m2] = clock.map(Number) as [number, number, number, number]
  const [from, to] = [h1 * 60 + m1, h2 * 60 + m2]
  if (m1 > 59 || m2 > 59 || from >= FULL_DAY || to > FULL_DAY) {
    return 'has a time that no clock shows: write 00:00 to 23:59, and 24:00 for the end of the day'
  }
  if (from === to) return 'ends when it begins: write only the days for whole days, e.g. "Sat,Sun"'
  return { days, from, to: to < from ? to + FULL_DAY : to, text }
}

const EXAMPLES =
  'must be like "Mon-Fri 22:00-06:00", "22:00-06:00", "Sat,Sun", "2026-12-24", "2026-12-24..2027-01-02", or {from, to, reason}'

const writtenPeriod: Kind<Period> = {
  read: () => undefined,
  explain({ value, text }) {
    // What was filled in is not shown, not even as the part that is wrong.
    const problem = typeof value === 'string' ? parsePeriod(value) : EXAMPLES
    return `${typeof problem === 'string' ? problem : EXAMPLES}, got ${text}`
  },
}

/** An end is not included: one at :59 leaves its last minute out, and that is seldom meant. */
export function warnOfPeriods(source: Source, path: Path): void {
  for (const key of ['windows', 'blackouts']) {
    const list = source.get([...path, key])
    for (const index of Array.isArray(list) ? list.keys() : []) {
      const place = [...path, key, index]
      const ends = [place, [...place, 'to']].find((at) => typeof source.seen(at).value === 'string')
      const text = ends && String(source.seen(ends).value)
      if (ends === undefined || text === undefined) continue
      const to = /(\d{1,2}):(\d{2})\s*$/.exec(text)
      if (!to || to[2] !== '59') continue
      const end = `${String(Number(to[1]) + 1).padStart(2, '0')}:00`
      const whole = `${text.slice(0, to.index)}${end}`
      source.warn(
        ends,
        `ends at ${to[0].trim()}, and an end is not included: the minute before ${end} is outside; write "${whole}"`,
      )
    }
  }
}

function datesOf(text: string, first: string, last: string): Period | string {
  const [from, to] = [parseMoment(first), parseMoment(last)]
  if (from === undefined || to === undefined)
    return `has a day that does not exist: ${from === undefined ? first : last}`
  if (to.wall < from.wall) return `ends before it begins: write "${last}..${first}"`
  return { from: from.wall, to: to.wall + DAY_MS, text }
}

/** What is often written instead. */
function nearMiss(text: string): string | undefined {
  const dates = /^(\d{4}-\d{2}-\d{2})\s*(?:-|to|\/)\s*(\d{4}-\d{2}-\d{2})$/.exec(text)
  if (dates) return `must have two dots between its days: write "${dates[1]}..${dates[2]}"`
  const [, days = '', from, to] = /^([a-z][a-z ,-]* )?(\d{1,2})(?:h|:00)? ?- ?(\d{1,2})(?:h|:00)?$/i.exec(text) ?? []
  if (from !== undefined && to !== undefined) {
    return `needs minutes: write "${days.trim()}${days === '' ? '' : ' '}${from.padStart(2, '0')}:00-${to.padStart(2, '0')}:00"`
  }
  const [, day, month, year] = /^(\d{1,2})[./](\d{1,2})[./](\d{4})$/.exec(text) ?? []
  if (year === undefined) return undefined
  return `must have its day as year-month-day: write "${year}-${month?.padStart(2, '0')}-${day?.padStart(2, '0')}"`
}

/** `Mon-Fri`, `Sat,Sun`, `Fri-Mon`, or what is wrong. */
function daysOf(names: string): number[] | string {
  const days = new Set<number>()
  for (const part of names.split(',')) {
    const [first, last = first, more] = part.trim().split(/ ?- ?/).map(dayOf)
    const unknown = [first, last].find((day) => typeof day === 'string')
    if (typeof unknown === 'string' || more !== undefined || typeof first !== 'number' || typeof last !== 'number') {
      return `has ${JSON.stringify(unknown ?? part.trim())} for a day of the week: write Mon, Tue, Wed, Thu, Fri, Sat or Sun, e.g. "Mon-Fri 22:00-06:00"`
    }
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day)
      if (day === last) break
    }
  }
  return [...days].sort((a, b) => a - b)
}

/** Its number, or the text where it is none. */
function dayOf(name: string): number | string {
  const found = DAYS.findIndex((day) => name.length >= 3 && day.startsWith(name.toLowerCase()))
  return found < 0 ? name : found
}
