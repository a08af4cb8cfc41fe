/** The result of a run. *Outcome* says whether the experiment ran; *residue* says whether we cleaned up. */
import type { ErrorCode, ErrorFacts } from './errors.ts'
import type { Facts } from './facts.ts'
import type { Observed } from './observed.ts'
import type { Inspection } from './skill.ts'

export type Outcome = 'completed' | 'ineffective' | 'failed' | 'refused' | 'aborted'

/** One of the systems of a run that may have several. */
export interface PlaceReport {
  place: string
  endpoint: string
  /** How many steps it had, and how many of them are still changed there. */
  steps: number
  residue: number
}

/** A step that is still changed on its target. */
export interface ResidueReport extends ErrorFacts {
  step: number
  resource: string
  describe: string
  error: string
  /** It is not tried again by itself. */
  quarantined?: true
}

export interface StepReport {
  step: number
  skill: string
  /** Absent where the run's one place has no name. */
  place?: string
  resource: string
  describe: string
  state: 'planned' | 'applied' | 'failed' | 'skipped' | 'reverted' | 'residue' | 'accepted'
  effect?: Inspection
  /** As it was read when the soak was over; absent for rows, for what could not be read, and where the soak was not reached. */
  at_end?: Inspection
  /** What the target counted while the fault was in place; absent where it counts nothing, or could not be asked. */
  observed?: Observed
  apply_ms?: number
  revert_ms?: number
  /** What others had changed since and the undo left alone. */
  kept?: number
  kept_names?: string[]
  error?: string
  /** The stable code of that error, where it has one. */
  code?: ErrorCode
  /** Why an operator lets it stay. */
  accepted_note?: string
}

export interface Report {
  run: string
  experiment: string
  target: string
  endpoint: string
  seed: string
  outcome: Outcome
  /** Why it is not `completed`; the first thing that went wrong. */
  reason?: string
  /** The stable code of that reason, where it has one. */
  code?: ErrorCode
  /** What the reason is about: the run that is in the way, what it uses. */
  about?: Facts
  /** True when a later process finished the undo. */
  recovered: boolean
  /** ISO 8601, UTC. */
  started_at: string
  finished_at: string
  soak_ms: number
  /** Steps still changed on the target; empty means clean. */
  residue: ResidueReport[]
  /** Where the configuration names several systems. */
  places?: PlaceReport[]
  steps: StepReport[]
  notes: string[]
  exit_code: number
}

/** Several results, one exit code: the worst, in the order 5, 4, 2, 3, 1, 6; then any other. */
export function worstExitCode(codes: readonly number[]): number {
  const order = [78, 75, 5, 4, 2, 3, 1, 6, 143, 130]
  return order.find((code) => codes.includes(code)) ?? codes.find((code) => code !== 0) ?? 0
}
