/** Which times of a schedule the clocks of its zone jump over, or go through twice. */
import type { Cron } from '../schedule/cron.ts'
import { formatWall } from '../schedule/zone.ts'
import type { Change, Zone } from '../schedule/zone.ts'

const YEAR_MS = 366 * 86_400_000

/** When the clocks of a zone are set within a year from `from`. */
export function clockChanges(zone: Zone, from: number): Change[] {
  const changes: Change[] = []
  const until = from + YEAR_MS
  for (let change = zone.nextChange(from, until); change; change = zone.nextChange(change.at, until)) {
    changes.push(change)
  }
  return changes
}

/**
 * What becomes of the schedule where the clocks are set, in words; undefined when nothing does. Only for a schedule that
 * is a list of times of the day: the due times themselves are looked at, so days and half hours count as they do in the daemon.
 */
export function clockSurprises(
  times: Cron,
  changes: readonly Change[],
  onMissed: 'skip' | 'run_once',
): string | undefined {
  const fate = onMissed === 'run_once' ? 'and runs directly after' : 'and the run with it'
  const parts = changes.flatMap((change) => {
    const { at, before, after } = change
    if (after > before) {
      const due = times.next(at - 1)
      return due?.at === at && due.lost ? [`${moment(due.lost.first)} is skipped, ${fate}`] : []
    }
    // The first pass of what comes twice.
    const due = times.next(at - (before - after) - 1)
    return due && due.at < at ? [`${moment(due.at + before)} comes twice, and is due the first time`] : []
  })
  return parts.length === 0 ? undefined : parts.join('; ')
}

/** To the minute: `02:30 on 2027-03-28`. */
function moment(wall: number): string {
  const [day = '', time = ''] = formatWall(wall).split(' ')
  return `${time.slice(0, 5)} on ${day}`
}
