/** The reports of runs that are over. */
import type { Report } from '../core/report.ts'

export interface History {
  /** Written before the journal says `run.finished`. On a full disk only the report of an undo gets the ballast's room. */
  keep(report: Report, options?: { ofUndo?: boolean }): Promise<void>
  /** Undefined where there is none. Rejects with JOURNAL_READ for what is no report. */
  read(run: string): Promise<Report | undefined>
  /** Run ids with a report, oldest first. */
  list(): Promise<string[]>
  /** Removes reports of runs that ended longer ago than so many milliseconds. */
  prune(olderThanMs: number, now: number): Promise<void>
}
