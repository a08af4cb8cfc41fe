/** Checks a schedule: six fields, seconds first, as node-cron will read them; and warns of what will surprise. */
import type * as nodeCron from 'node-cron'
import { formatDuration } from '../core/duration.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import type { Zone } from '../core/zone.ts'
import type { ClockChanges } from './clock-changes.ts'
import type { Source } from './source.ts'
import { warnOfTiming } from './timing.ts'
import type { Path } from './tree.ts'

const FIELDS = ['second', 'minute', 'hour', 'day of month', 'month', 'day of week'] as const
const RANGES = ['0–59', '0–59', '0–23', '1–31', '1–12', '0–7 (0 and 7 are Sunday)'] as const
const LARGEST_STEP = [59, 59, 23, 31, 12, 7] as const

const NICKNAMES: Record<string, string> = {
  '@yearly': '0 0 0 1 1 *',
  '@annually': '0 0 0 1 1 *',
  '@monthly': '0 0 0 1 * *',
  '@weekly': '0 0 0 * * 0',
  '@daily': '0 0 0 * * *',
  '@midnight': '0 0 0 * * *',
  '@hourly': '0 0 * * * *',
}

const EXAMPLE = '"0 0 2 * * *" (second minute hour day-of-month month day-of-week: every night at two)'

/** The library that will run the schedules; loaded only where there are any. */
export type Cron = Pick<typeof nodeCron, 'parse' | 'validateDetailed'>

/** What there is to know of time while a file is read; asked once for many entries. */
export interface TimeContext {
  now: number
  zone(name: string): Zone
  /** When the clocks of a zone change this year. */
  changes(zone: string): ClockChanges
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
  if (text.startsWith('@')) {
    const same = NICKNAMES[text.toLowerCase()]
    return same === undefined ? `must have 6 fields: write e.g. ${EXAMPLE}` : `must have 6 fields: write "${same}"`
  }
  if (fields.length === 5) return `has 5 fields, but the first of 6 is the second: write "0 ${fields.join(' ')}"`
  if (fields.length !== 6)
    return `has ${fields.length} field${fields.length === 1 ? '' : 's'} instead of 6: write e.g. ${EXAMPLE}`
  return fields.map(fieldProblem).find((problem) => problem !== undefined) ?? cronProblem(fields, cron)
}

/** Checked before the library sees it: a range up to a billion would be spelt out number by number. */
function fieldProblem(field: string, index: number): string | undefined {
  const step = /\/(\d+)/.exec(field)?.[1]
  if (step !== undefined && (Number(step) < 1 || Number(step) > (LARGEST_STEP[index] ?? 0))) {
    return `${FIELDS[index]} ${show(field)}: the step after "/" must be 1 to ${LARGEST_STEP[index] ?? 0}`
  }
  return /\d{3,}/.test(field) || field.length > 200 ? outOfRange(field, index) : undefined
}

function cronProblem(fields: string[], cron: Cron): string | undefined {
  const result = cron.validateDetailed(fields.join(' '))
  const [error] = result.errors
  if (error === undefined) return undefined
  const index = ['second', 'minute', 'hour', 'dayOfMonth', 'month', 'dayOfWeek'].indexOf(error.field)
  if (index < 0) return `has characters that no schedule has: write e.g. ${EXAMPLE}`
  if (error.message.includes('impossible')) {
    return `never happens: month ${show(fields[4] ?? '')} has no day ${show(fields[3] ?? '')}`
  }
  return outOfRange(fields[index] ?? '', index)
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
  const fields = cron.parse(entry.schedule)
  const { second, minute, hour, dayOfMonth, dayOfWeek } = fields
  if (isRestricted(dayOfMonth, 31) && isRestricted(dayOfWeek, 7)) {
    source.warn(path, 'runs only on days that fit both the day of month and the day of week; write * for one of them')
  }
  const gap = shortestGap(second, minute, hour)
  const soak = entry.experiment.duration_ms
  if (gap <= soak) {
    source.warn(
      path,
      `is due every ${formatDuration(gap)}, but one run holds its fault for ${formatDuration(soak)} and an experiment never overlaps itself: slots will be skipped; write a longer interval or a shorter duration`,
    )
  }
  warnOfTiming(source, path.slice(0, -1), { entry, fields, gap, zone: time.zone(entry.timezone), now: time.now })
  if (hour.length < 24) warnOfClockChange(source, path, entry, hour, time.changes(entry.timezone))
}

function warnOfClockChange(
  source: Source,
  path: Path,
  { timezone, on_missed: onMissed }: ScheduledExperiment,
  hours: readonly number[],
  { skipped, repeated }: ClockChanges,
): void {
  const hit = (changed: readonly number[]) => hours.filter((hour) => changed.includes(hour))
  const fate = onMissed === 'run_once' ? 'and what is due in it runs directly after' : 'and the run with it'
  const parts = [
    ...hit(skipped).map((hour) => `the hour from ${clock(hour)} is skipped in spring, ${fate}`),
    ...hit(repeated).map(
      (hour) => `the hour from ${clock(hour)} comes twice in autumn, and what is due in it runs the first time`,
    ),
  ]
  if (parts.length === 0) return
  source.warn(path, `clocks in ${timezone} change: ${parts.join('; ')}; use timezone: UTC, or another hour`)
}

function clock(hour: number): string {
  return `${String(hour).padStart(2, '0')}:00`
}

function isRestricted(values: readonly unknown[], all: number): boolean {
  return values.length < all
}

/** Milliseconds between two slots of one day at the closest. */
function shortestGap(second: readonly number[], minute: readonly number[], hour: readonly number[]): number {
  if (second.length > 1) return smallestStep(second, 60, minute.length === 60) * 1_000
  if (minute.length > 1) return smallestStep(minute, 60, hour.length === 24) * 60_000
  return hour.length > 1 ? smallestStep(hour, 24, true) * 3_600_000 : 24 * 3_600_000
}

function smallestStep(values: readonly number[], cycle: number, wraps: boolean): number {
  const sorted = [...values].sort((a, b) => a - b)
  const first = sorted[0] ?? 0
  const next = wraps ? [...sorted, first + cycle] : sorted
  return Math.min(...next.slice(1).map((value, index) => value - (next[index] ?? 0)))
}
