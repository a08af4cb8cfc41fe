/** Cron: calls back when an experiment is due, and says when that will be next. */
import { createTask } from 'node-cron'
import type { ScheduledExperiment } from '../core/experiment.ts'

export interface Schedule {
  start(): void
  stop(): void
  /** The next due time of an experiment; undefined when it has none. */
  next(name: string): Date | undefined
}

export interface ScheduleEvents {
  due(entry: ScheduledExperiment, slot: Date): void
  missed(entry: ScheduledExperiment, slot: Date): void
}

/** A timer that fires late by less than this still runs: a busy machine must not cost a night's run. */
const TOLERANCE_MS = 30_000

export function makeSchedule(entries: readonly ScheduledExperiment[], events: ScheduleEvents): Schedule {
  const tasks = new Map(
    entries.flatMap((entry) => {
      if (!entry.enabled || entry.schedule === undefined) return []
      const task = createTask(entry.schedule, ({ date }) => events.due(entry, date), {
        name: entry.experiment.name,
        timezone: entry.timezone,
        missedExecutionTolerance: TOLERANCE_MS,
        suppressMissedWarning: true,
        logger: SILENT,
      })
      task.on('execution:missed', ({ date }) => events.missed(entry, date))
      return [[entry.experiment.name, task] as const]
    }),
  )
  return {
    start: () => tasks.forEach((task) => void task.start()),
    stop: () => tasks.forEach((task) => void task.destroy()),
    next: (name) => tasks.get(name)?.getNextRun() ?? undefined,
  }
}

/** What node-cron would print to the console comes as events. */
const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined }
