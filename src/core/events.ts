/** What a run tells while it happens. Plain JSON; sinks (observe/) only watch and can never slow or fail a run. */
import type { Digest } from './digest.ts'
import type { ErrorCode, ErrorFacts } from './errors.ts'
import type { Facts, WarningCode } from './facts.ts'
import type { Observed } from './observed.ts'
import type { PlanView, StepView } from './plan-view.ts'
import type { Report } from './report.ts'
import type { Inspection } from './skill.ts'

/** The walk of a run, in order. */
export type RunPhase = 'connect' | 'discover' | 'plan' | 'claim' | 'apply' | 'soak' | 'quiesce' | 'rollback' | 'done'

type RunEventBody =
  | { type: 'run.started'; experiment: string; target: string; endpoint: string; seed: string; soak_ms: number }
  | { type: 'run.phase'; phase: RunPhase; detail?: string; about?: Facts }
  | { type: 'run.planned'; plan: PlanView }
  | { type: 'step.applying' | 'step.reverting'; step: StepView }
  | { type: 'step.applied'; step: StepView; effect: Inspection; took_ms: number }
  | ({ type: 'step.skipped'; step: StepView; reason: string } & ErrorFacts)
  | ({ type: 'step.failed'; step: StepView; error: string } & ErrorFacts)
  | { type: 'step.reverted'; step: StepView; kept: number; names: string[]; observed?: Observed; took_ms: number }
  | ({ type: 'step.revert_failed'; step: StepView; error: string; quarantined?: true } & ErrorFacts)
  | { type: 'run.warning'; message: string; code?: WarningCode; about?: Facts }
  | { type: 'run.aborting'; reason: string; code?: ErrorCode }
  | { type: 'run.finished'; report: Report; journal?: JournalTotals }

/** What a run cost its journal. A run that is recovered has those of each process that worked on it. */
export interface JournalTotals {
  appends: number
  /** Appends that waited until they were on the disk. */
  syncs: number
  sync_ms: number
  slowest_sync_ms: number
}

/** Every event of a run carries when (ISO 8601, UTC), and of which run. */
export type RunEvent = RunEventBody & { at: string; run: string }

/** Why a due time did not become a run: a code, beside the sentence for people. */
export type SkipCause =
  | 'overlap' // its previous run is not over
  | 'busy' // all slots are taken, or the queue is full or took too long
  | 'claimed' // another run uses the same thing
  | 'blocked' // an earlier run on its target is not undone
  | 'missed' // the process was not there, or could not run, when it was due
  | 'no_such_time' // the clocks were set forward over it
  | 'window' // outside its windows
  | 'blackout'
  | 'frozen'
  | 'disabled'
  | 'untrusted' // its target waits for `chaos trust`
  | 'stopping'
  | 'error'

export type DaemonEvent = { at: string } & (
  | { type: 'daemon.started'; pid: number; state_dir: string; experiments: number }
  | { type: 'daemon.ready' }
  | { type: 'health.listening'; url: string }
  | { type: 'daemon.stopping'; reason: string }
  | { type: 'daemon.stopped'; exit_code: number }
  | { type: 'daemon.reloaded'; file: string; experiments: number }
  | { type: 'daemon.reload_failed'; file: string; problem: string }
  | { type: 'daemon.frozen'; reason: string; until?: string }
  | { type: 'daemon.unfrozen'; reason: string }
  | { type: 'experiment.disabled'; experiment: string; until?: string }
  | { type: 'experiment.enabled'; experiment: string }
  | { type: 'clock.stepped'; by_ms: number }
  | { type: 'schedule.due'; experiment: string; slot: string }
  | { type: 'schedule.skipped'; experiment: string; slot: string; cause: SkipCause; reason: string; about?: Facts }
  | { type: 'schedule.queued'; experiment: string; slot: string; reason: string }
  | { type: 'schedule.next'; experiment: string; next: string }
  | { type: 'worker.lost'; run: string; detail: string; about?: Facts }
  | { type: 'recovery.started'; runs: string[] }
  | { type: 'recovery.finished'; clean: number; pending: number }
  | { type: 'recovery.retry'; run: string; in_ms: number; reason: string; code?: ErrorCode; quarantined?: number[] }
  | { type: 'digest'; digest: Digest }
  | { type: 'warning'; message: string; code?: WarningCode; about?: Facts }
)

export type ChaosEvent = RunEvent | DaemonEvent
export type EventBody = RunEventBody

/** Takes an event and returns at once; what it throws is dropped. */
export type Sink = (event: ChaosEvent) => void

/** A listener whose mistakes stay its own: watching never changes the watched. */
export function harmless<E>(listener: (event: E) => void): (event: E) => void {
  return (event) => {
    try {
      listener(event)
    } catch {
      // An error of a listener is dropped: a listener must never fail a run.
    }
  }
}
