/** The report of a run whose worker could not write one: it died, or failed before anything was begun. */
import { counted } from '../core/counted.ts'
import { CodedError, ERROR_CODES, messageOf } from '../core/errors.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { Blocked } from './blocked.ts'

export interface LostRun {
  run: string
  experiment: Experiment
  endpoint: string
  seed: string
  startedAt: string
  finishedAt: string
  /** What came instead of a report. */
  error: unknown
  /** The worker died without a report. */
  lost: boolean
  /** What it left could not be undone yet. */
  blocked: Blocked | undefined
  /** Everything is being stopped. */
  stopped: boolean
}

export function lostReport(lostRun: LostRun): Report {
  const { run, experiment, endpoint, seed, startedAt, finishedAt, error, lost, blocked, stopped } = lostRun
  const code = lost && stopped ? 'ABORTED' : error instanceof CodedError ? error.code : 'WORKER_LOST'
  return {
    run,
    experiment: experiment.name,
    target: experiment.target,
    endpoint,
    seed,
    outcome: code === 'ABORTED' ? 'aborted' : lost || blocked ? 'failed' : 'refused',
    reason: messageOf(error),
    code,
    ...(error instanceof CodedError && error.about ? { about: error.about } : {}),
    recovered: false,
    started_at: startedAt,
    finished_at: finishedAt,
    soak_ms: experiment.duration_ms,
    residue: blocked
      ? [
          {
            step: 0,
            resource: blocked.endpoint,
            describe: `${counted(blocked.pending, 'step')} to undo`,
            error: blocked.reason,
            ...(blocked.code === undefined ? {} : { code: blocked.code }),
            about: { run, count: blocked.pending },
          },
        ]
      : [],
    steps: [],
    notes: [],
    exit_code: blocked ? ERROR_CODES.RESIDUE : ERROR_CODES[code],
  }
}
