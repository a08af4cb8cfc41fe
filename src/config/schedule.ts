/** Checks a schedule: six fields, seconds first, as node-cron will read them; and warns of what will surprise. */
import type * as nodeCron from 'node-cron'
import { cron as timesOf } from '../schedule/cron.ts'
import { asSets } from '../schedule/cron-days.ts'
import type { CronFields } from '../schedule/cron-days.ts'
import { formatDuration } from '../core/duration.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import { openZone } from '../schedule/zone.ts'
import type { Change, Zone } from '../schedule/zone.ts'
import { clockSurprises } from './clock-changes.ts'
import { dialectProblem, EXAMPLE, fieldDialect, isRandom } from './cron-dialects.ts'
import type { Source } from './source.ts'
import { warnOfTiming } from './timing.ts'
import type { Path } from './tree.ts'

const FIELDS = ['second', 'minute', 'hour', 'day of month', 'month', 'day of week'] as const
const RANGES = ['0–59', '0–59', '0–23', '1–31', '1–12', '0–7 (0 and 7 are Sunday)'] as const
const LARGEST_STEP = [59, 59, 23, 31, 12, 7] as const

/** The library that will run the schedules; loaded only where there are any. */
export type Cron = Pick<typeof nodeCron, 'parse' | 'validateDetailed'>

/** What there is to know of time while a file is read; asked once for many entries. */
export interface TimeContext {
  now: number
  zone(name: string): Zone
  /** When the clocks of a zone change within a year from now. */
  changes(zone: string): readonly Change[]
}

/** Reports what is wrong with the schedule at `path`. */
export function checkSchedule(source: Source, path: Path, cron: Cron): void {
  const { value, kind, text } = source.seen(path)
  if (kind !== 'text') return
  const problem = scheduleProblem(String(source.get(path)), cron)
  if (problem === undefined) return
  // The problem quotes the schedule, and what was filled in must not be shown.
  source.problem(path, value === undefined ? `is not a schedule, got ${text}: it must be like ${EXAMPLE}` : problem)
}

/** With one space between its fields: node-cron takes no tabs. */
export function sixFields(schedule: string): string {
  return schedule.trim().split(/\s+/).join(' ')
}

/** What is wrong with the text and what to write instead, or undefined. */
export function scheduleProblem(schedule: string, cron: Cron): string | undefined {
  const text = schedule.trim()
  const fields = text.split(/\s+/)
  if (text === '') return `must not be empty: write e.g. ${EXAMPLE}`
  const dialect = dialectProblem(text)
  if (dialect !== undefined) return dialect
  if (fields.length === 5) return `has 5 fields, but the first of 6 is the second: write "0 ${fields.join(' ')}"`
  if (fields.length !== 6)
    return `has ${fields.length} field${fields.length === 1 ? '' : 's'} instead of 6: write e.g. ${EXAMPLE}`
  return fields.map(fieldProblem).find((problem) => problem !== undefined) ?? cronProblem(fields, cron)
}

/** Checked before the library sees it: a range up to a billion would be spelt out number by number. */
function fieldProblem(field: string, index: number): string | undefined {
  const same = fieldDialect(field, index)
  if (same !== undefined) return `${FIELDS[index]} ${show(field)} is not valid: write "${same}"`
  if (isRandom(field)) {
    return `${FIELDS[index]} ${show(field)} is not valid: write a number; jitter: 10m spreads the runs at random`
  }
  const step = /\/(\d+)/.exec(field)?.[1]
  if (step !== undefined && (Number(step) < 1 || Number(step) > (LARGEST_STEP[index] ?? 0))) {
    return `${FIELDS[index]} ${show(field)}: the step after "/" must be 1 to ${LARGEST_STEP[index] ?? 0}`
  }
  return /\d{3,}/.test(field) || field.length > 200 ? outOfRange(field, index) : undefined
}

function cronProblem(fields: string[], cron: Cron): string | undefined {
  const result = cron.validateDetailed(fields.join(' '))
  const [error] = result.errors
  if (error === undefined) return neverDue(cron.parse(fields.join(' '))) ? neverProblem(fields) : undefined
  const index = ['second', 'minute', 'hour', 'dayOfMonth', 'month', 'dayOfWeek'].indexOf(error.field)
  if (index < 0) return `has characters that no schedule has: write e.g. ${EXAMPLE}`
  if (error.message.includes('impossible')) {
    return neverProblem(fields)
  }
  return outOfRange(fields[index] ?? '', index)
}

/** The same question as the daemon asks. Which days there are does not depend on the zone. */
function neverDue(fields: CronFields): boolean {
  return timesOf(fields, openZone('UTC')).next(Date.now()) === undefined
}

function neverProblem(fields: string[]): string {
  const [, , , day = '', month = '', weekday = ''] = fields
  const which = /^[*?]$/.test(weekday) ? '' : ` that is a day of week ${show(weekday)}`
  return `never happens: month ${show(month)} has no day ${show(day)}${which}`
}

function outOfRange(field: string, index: number): string {
  return `${FIELDS[index]} ${show(field)} is not valid: write ${RANGES[index]}, *, a list (1,5), a range (1-5) or a step (*/5)`
}

function show(field: string): string {
  return JSON.stringify(field.length > 40 ? `${field.slice(0, 40)}…` : field)
}

/** Things that are allowed and rarely meant. The entry's schedule must be valid. */
export function warnOfSchedule(
  source: Source,
  path: Path,
  entry: ScheduledExperiment,
  cron: Cron,
  time: TimeContext,
): void {
  if (entry.schedule === undefined || !entry.enabled) return
  const fields = asSets(cron.parse(entry.schedule))
  const { dayOfMonth, dayOfWeek } = fields
  if (isRestricted(dayOfMonth, 31) && isRestricted(dayOfWeek, 7)) {
    source.warn(path, 'runs only on days that fit both the day of month and the day of week; write * for one of them')
  }
  const gap = shortestGap(fields)
  const soak = entry.experiment.duration_ms
  if (gap <= soak) {
    source.warn(
      path,
      `is due every ${formatDuration(gap)}, but one run holds its fault for ${formatDuration(soak)} and an experiment never overlaps itself: slots will be skipped; write a longer interval or a shorter duration`,
    )
  }
  warnOfTiming(source, path.slice(0, -1), { entry, fields, gap, zone: time.zone(entry.timezone), now: time.now })
  const zone = time.zone(entry.timezone)
  const text = clockSurprises(timesOf(fields, zone), time.changes(entry.timezone), entry.on_missed)
  if (fields.hour.length < 24 && text !== undefined) {
    source.warn(path, `clocks in ${entry.timezone} change: ${text}; use timezone: UTC, or another time`)
  }
}

function isRestricted(values: readonly unknown[], all: number): boolean {
  return values.length < all
}

/** Milliseconds between two due times at the closest. */
function shortestGap({ second, minute, hour, dayOfMonth, month, dayOfWeek }: CronFields): number {
  const everyDay = !isRestricted(dayOfMonth, 31) && !isRestricted(month, 12) && !isRestricted(dayOfWeek, 7)
  // The next minute's first due time comes so much sooner as the seconds of a minute span; hours and days alike.
  let [gap, span] = [Infinity, 0]
  for (const [values, unit] of [
    [second, 1],
    [minute, 60],
    [hour, 3_600],
  ] as const) {
    gap = Math.min(gap, smallestStep(values) * unit - span)
    span += (Math.max(...values) - Math.min(...values)) * unit
  }
  const day = 24 * 3_600
  return Math.min(gap, everyDay ? day - span : day) * 1_000
}

/** Infinity for a single value. */
function smallestStep(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.min(...sorted.slice(1).map((value, index) => value - (sorted[index] ?? 0)))
}
