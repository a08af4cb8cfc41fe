/** Warns of schedules, windows and jitter that do not go together. */
import { calendar, longestOpen, nextOpen } from '../schedule/calendar.ts'
import { cron } from '../schedule/cron.ts'
import type { CronFields } from '../schedule/cron-days.ts'
import { formatDuration } from '../core/duration.ts'
import type { ScheduledExperiment } from '../core/experiment.ts'
import type { Zone } from '../schedule/zone.ts'
import type { Source } from './source.ts'
import type { Path } from './tree.ts'

/** Windows come again every week; blackouts that lie further ahead do not matter yet. */
const LOOK_AHEAD_MS = 60 * 86_400_000

export interface TimingToCheck {
  entry: ScheduledExperiment
  /** Of its schedule. */
  fields: CronFields
  /** Milliseconds between two due times at the closest. */
  gap: number
  zone: Zone
  now: number
}

export function warnOfTiming(source: Source, path: Path, { entry, fields, gap, zone, now }: TimingToCheck): void {
  const { jitter_ms: jitter, experiment } = entry
  if (jitter >= gap) {
    source.warn(
      [...path, 'jitter'],
      `${formatDuration(jitter)} of jitter is not less than the ${formatDuration(gap)} between two due times: it is cut short of the next one; write a shorter jitter`,
    )
  }
  const dates = calendar(entry, zone)
  if (dates === undefined) return
  const times = cron(fields, zone)
  const soak = experiment.duration_ms
  const open = longestOpen(dates, now, now + LOOK_AHEAD_MS)
  if (times.next(now) && nextOpen(times, dates, now) === undefined) {
    source.warn(
      [...path, 'schedule'],
      'never falls into its windows, so that nothing will ever run; write other windows, or another time',
    )
  } else if (open < soak) {
    source.warn(
      [...path, 'windows'],
      `are open for ${formatDuration(open)} at the longest, but one run holds its fault for ${formatDuration(soak)}: every run will be cut short; write longer windows or a shorter duration`,
    )
  }
}
