/** How far apart the due times of a schedule are: what "no successful run for two intervals" is measured with. */
import { createTask } from 'node-cron'
import type { DaemonStatus } from '../../core/status.ts'

/** Seconds; undefined where there is no schedule, or as long as it has not been looked at. */
export type DueEvery = (entry: DaemonStatus['experiments'][number]) => number | undefined

/** A week of a daily schedule that leaves out the weekend. */
const LOOK_AT = 8
/** A schedule takes milliseconds to look at, and a scrape must not hold up the daemon: the rest comes at the next ones. */
const BUDGET_MS = 25
/** "Every Sunday in March" has other gaps next month. */
const KEEP_MS = 24 * 3_600_000

/** The longest time between the next due times. `now` in milliseconds, of any clock that never goes back. */
export function dueEvery(now: () => number = () => performance.now()): DueEvery {
  const known = new Map<string, { seconds: number; until: number }>()
  let spent = 0
  let round = now()
  return ({ schedule, timezone }) => {
    if (schedule === undefined) return undefined
    const key = `${timezone} ${schedule}`
    const before = known.get(key)
    const begun = now()
    if (before && before.until > begun) return before.seconds
    if (begun - round > 1_000) [round, spent] = [begun, 0]
    if (spent > BUDGET_MS) return before?.seconds
    const seconds = longestGap(schedule, timezone)
    spent += now() - begun
    if (seconds !== undefined) known.set(key, { seconds, until: begun + KEEP_MS })
    return seconds
  }
}

function longestGap(schedule: string, timezone: string): number | undefined {
  const task = createTask(schedule, () => undefined, { timezone })
  const times = task.getNextRuns(LOOK_AT).map((date) => date.getTime())
  void task.destroy()
  const gaps = times.slice(1).map((time, index) => (time - (times[index] ?? time)) / 1_000)
  return gaps.length === 0 ? undefined : Math.max(...gaps)
}
