/** The report of a run, made from its journal: the same for a run that ended by itself and for one that was recovered. */
import { ERROR_CODES } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Facts } from '../core/facts.ts'
import type { Outcome, PlaceReport, Report, ResidueReport } from '../core/report.ts'
import type { RunStarted, RunState, StepState } from '../journal/journal.ts'

export interface Ending {
  outcome: Outcome
  reason?: string
  /** Of the error that ended it, when there was one. */
  code?: ErrorCode
  about?: Facts
  recovered: boolean
  residue: ResidueReport[]
  journalFailed: boolean
}

/** `state` is the journal as it stands after the rollback. */
export function reportOf(started: RunStarted & { at: string }, state: RunState, ending: Ending, now: number): Report {
  const { outcome, reason, recovered, residue } = ending
  return {
    run: started.run,
    experiment: started.experiment,
    target: started.target,
    endpoint: started.endpoint,
    seed: started.seed,
    outcome,
    ...(reason === undefined ? {} : { reason }),
    ...(ending.code === undefined ? {} : { code: ending.code }),
    ...(ending.about ? { about: ending.about } : {}),
    recovered,
    started_at: started.at,
    finished_at: new Date(now).toISOString(),
    soak_ms: started.soak_ms,
    residue,
    ...placesIn(started, state, residue),
    steps: inOrder(started, state).map((s) => ({
      step: s.step,
      skill: s.skill,
      ...(s.place === '' ? {} : { place: s.place }),
      resource: s.resource,
      describe: s.describe,
      state: residue.some((r) => r.step === s.step) ? 'residue' : s.state,
      ...(s.effect ? { effect: s.effect } : {}),
      ...(s.at_end ? { at_end: s.at_end } : {}),
      ...(s.observed ? { observed: s.observed } : {}),
      ...(s.apply_ms === undefined ? {} : { apply_ms: s.apply_ms }),
      ...(s.revert_ms === undefined ? {} : { revert_ms: s.revert_ms }),
      ...(s.kept ? { kept: s.kept, kept_names: s.kept_names ?? [] } : {}),
      ...errorOf(s),
      ...(s.accepted_note === undefined ? {} : { accepted_note: s.accepted_note }),
    })),
    notes: started.notes,
    exit_code: exitCodeOf(ending),
  }
}

/** As they were planned, which on several places is not as they were applied. */
function inOrder({ places }: RunStarted, { steps }: RunState): StepState[] {
  return places ? [...steps].sort((a, b) => a.step - b.step) : steps
}

function placesIn(
  { places }: RunStarted,
  { steps }: RunState,
  residue: readonly ResidueReport[],
): { places?: PlaceReport[] } {
  if (!places) return {}
  const left = new Set(residue.map(({ step }) => step))
  const of = places.map(({ place, endpoint }) => {
    const mine = steps.filter((step) => step.place === place)
    return { place, endpoint, steps: mine.length, residue: mine.filter(({ step }) => left.has(step)).length }
  })
  return { places: of }
}

/** Of one that is undone only what its apply had met. */
function errorOf(step: StepState): { error?: string; code?: ErrorCode } {
  const applied = told(step.error, step.code)
  if (step.state === 'reverted') return applied ?? {}
  return told(step.quarantined?.error, 'RESIDUE') ?? told(step.revert_error, step.revert_code) ?? applied ?? {}
}

function told(error: string | undefined, code: ErrorCode | undefined): { error: string; code?: ErrorCode } | undefined {
  if (error === undefined) return undefined
  return { error, ...(code === undefined ? {} : { code }) }
}

/** 4 wins over what the experiment came to, 5 over everything (DESIGN: exit codes). */
export function exitCodeOf({
  outcome,
  code,
  residue,
  journalFailed,
}: Pick<Ending, 'outcome' | 'code' | 'residue' | 'journalFailed'>): number {
  if (journalFailed) return ERROR_CODES.JOURNAL_WRITE
  if (residue.length > 0) return ERROR_CODES.RESIDUE
  if (outcome === 'completed') return 0
  return code ? ERROR_CODES[code] : outcome === 'refused' ? ERROR_CODES.REFUSED_UNSUITABLE : 1
}
