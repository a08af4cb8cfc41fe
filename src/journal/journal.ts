/** What a journal says: its records, and the fold that turns them into what is still to be undone. */
import type { ErrorCode } from '../core/errors.ts'
import type { JournalTotals } from '../core/events.ts'
import type { Observed } from '../core/observed.ts'
import type { Inspection } from '../core/skill.ts'
import type { Identity } from '../core/identity.ts'
import type { Outcome } from '../core/report.ts'
import { release, tryBegins, tryDied, tryEnds } from './quarantine.ts'
import type { Tried } from './quarantine.ts'
import type { Unreadable } from './unreadable.ts'

/**
 * Major version of the record format. A newer one is left untouched (exit 78). 2 is written only where a run has places: a
 * program that knows 1 would undo everything on one of them.
 */
export const JOURNAL_FORMAT = 2

/** One of the systems that a run is on. */
export interface PlaceStarted {
  place: string
  endpoint: string
  identity: Identity
}

export interface RunStarted {
  type: 'run.started'
  format: number
  run: string
  install: string
  experiment: string
  target: string
  endpoint: string
  /** The experiment as configured, every secret replaced. */
  definition: unknown
  seed: string
  /** Of the one system that the run is on; in format 2 each of `places` has its own. */
  identity?: Identity
  /** Format 2. */
  places?: PlaceStarted[]
  soak_ms: number
  notes: string[]
}

export interface StepPlanned {
  type: 'step.planned'
  step: number
  skill: string
  version: number
  /** Which of the run's places; absent in format 1. */
  place?: string
  resource: string
  /** Ids on that place. */
  touches: string[]
  describe: string
  mark: string
  data: object
}

/** The first record of a file in which a run goes on after an error of the disk. */
export interface RunContinued {
  type: 'run.continued'
  format: number
  run: string
  /** The files that failed, and how many bytes of each were surely on the disk: what follows them nobody relied on. */
  after: { part: number; length: number }[]
  error: string
}

/** A process begins to undo the run. */
export interface UndoStarted {
  type: 'undo.started'
  reason: string
  outcome: Outcome
}

/** …and within that one step. What follows it says how that ended; nothing does when the process died of it. */
export interface StepUndoStarted {
  type: 'undo.started'
  step: number
  /** Which start of the machine; absent where it does not tell. */
  boot?: string
}

export type JournalRecord =
  | RunStarted
  | RunContinued
  | StepPlanned
  | { type: 'step.recorded' | 'undo.progress'; step: number; facts: object }
  | { type: 'step.applied'; step: number; effect: Inspection; ms: number }
  | { type: 'step.failed' | 'step.revert_failed'; step: number; error: string; code?: ErrorCode }
  | { type: 'step.skipped'; step: number; reason: string; code?: ErrorCode }
  | { type: 'step.soaked'; step: number; effect: Inspection }
  | UndoStarted
  | StepUndoStarted
  | { type: 'step.quarantined'; step: number; error: string; boot: string }
  | { type: 'step.released'; step: number }
  | { type: 'step.reverted'; step: number; kept: number; names: string[]; observed?: Observed; ms: number }
  | { type: 'step.accepted'; step: number; note: string }
  | { type: 'run.finished'; outcome: Outcome }

/** A record as it stands in the file: with when it was written (ISO 8601). */
export type Stamped = JournalRecord & { at: string }

export interface Journal {
  /** Resolves when the record is in the file, with `durable` when it is on the disk. Rejects with JournalError. */
  append(record: JournalRecord, options?: { durable?: boolean }): Promise<void>
  /** The first error of the disk. From then on records of new faults are rejected; those of the undo go on where they can. */
  readonly failure: Error | undefined
  close(): Promise<void>
  /** So far; absent where nothing is measured. */
  readonly totals?: JournalTotals
}

/** One step as the journal tells it; its data is loaded when it is needed. */
export interface StepState extends Tried {
  step: number
  skill: string
  /** Of the format of its data, as its skill wrote it. */
  version: number
  /** Empty in format 1. */
  place: string
  resource: string
  touches: string[]
  describe: string
  mark: string
  /** When it was planned, ISO 8601: what it changed was changed after that. */
  since: string
  state: 'planned' | 'applied' | 'failed' | 'skipped' | 'reverted' | 'accepted'
  effect?: Inspection
  /** As it was read when the soak was over. */
  at_end?: Inspection
  observed?: Observed
  apply_ms?: number
  revert_ms?: number
  kept?: number
  kept_names?: string[]
  error?: string
  /** Of that error. */
  code?: ErrorCode
  /** When the undo failed last, ISO 8601. */
  revert_failed_at?: string
  /** Why an operator lets it stay. */
  accepted_note?: string
}

/** What cannot be trusted. Everything readable around it still counts. */
export interface Damage {
  /** Of which file of the run; absent is its first. */
  part?: number
  offset: number
  reason: string
  /** It is not damaged, as far as anybody knows: the system does not let us read it. */
  unreadable?: Unreadable
  /** It is whole, and of another run. `there`: the journal of that run is there too, so this one is a copy. */
  foreign?: { run: string; there: boolean }
}

export interface RunState {
  run: string
  /** Absent when the file ended before its first record was durable: then no step was applied. */
  started?: RunStarted & { at: string }
  /** In the order they were planned, which is the order they were applied in where they touch the same things. */
  steps: StepState[]
  undo?: { reason: string; outcome: Outcome; at: string }
  finished?: { outcome: Outcome; at: string }
  damage: Damage[]
}

/** Of a journal that could not be read: it is all damage. */
export function unreadState(run: string, damage: Damage): RunState {
  return { run, steps: [], damage: [damage] }
}

/** The systems that a run is on; in format 1 the one, without a name. */
export function placesOf({ places, endpoint, identity }: RunStarted): PlaceStarted[] {
  return places ?? [{ place: '', endpoint, identity: identity ?? { scopes: NO_SCOPES, parts: {} } }]
}

const NO_SCOPES = { server: '', database: '', resource: '' }

/** Steps whose undo has not been seen: planned, and neither skipped, reverted nor accepted. */
export function pendingSteps<Step extends StepState>(state: { steps: readonly Step[] }): Step[] {
  return state.steps.filter((s) => s.state === 'planned' || s.state === 'applied' || s.state === 'failed')
}

/** Adds one record to the state. Pure but for `state`; unknown record types of a newer minor version are ignored. */
export function fold(state: RunState, record: Stamped): void {
  switch (record.type) {
    case 'run.started':
      state.started = record
      return
    case 'undo.started':
      if ('step' in record) {
        foldStep(state, record)
        return
      }
      // One process at a time undoes a run: whatever an earlier one was at, it is dead.
      state.steps.forEach(tryDied)
      state.undo ??= record
      return
    case 'run.finished':
      state.finished = record
      return
    case 'run.continued': {
      const reliedOn = (d: Damage): boolean =>
        record.after.every(({ part, length }) => (d.part ?? 1) !== part || d.offset < length)
      state.damage = state.damage.filter(reliedOn)
      return
    }
    case 'step.planned': {
      const { step, skill, version, place = '', resource, touches, describe, mark, at: since } = record
      state.steps.push({
        ...{ step, skill, version, place, resource, touches, describe, mark, since },
        state: 'planned',
      })
      return
    }
    default:
      foldStep(state, record)
  }
}

type StepRecord = Exclude<
  Stamped,
  UndoStarted | { type: 'run.started' | 'run.continued' | 'run.finished' | 'step.planned' }
>

function foldStep(state: RunState, record: StepRecord): void {
  const step = state.steps.findLast((s) => s.step === record.step)
  if (!step) return
  switch (record.type) {
    case 'step.recorded':
    case 'undo.progress':
      return
    case 'step.applied':
      Object.assign(step, { state: 'applied', effect: record.effect, apply_ms: record.ms })
      return
    case 'step.failed':
      Object.assign(step, { state: 'failed', error: record.error, code: record.code })
      return
    case 'step.soaked':
      step.at_end = record.effect
      return
    case 'step.skipped':
      Object.assign(step, { state: 'skipped', error: record.reason, code: record.code })
      return
    case 'undo.started':
      tryBegins(step, record.boot)
      return
    case 'step.revert_failed':
      tryEnds(step)
      Object.assign(step, { revert_error: record.error, revert_code: record.code, revert_failed_at: record.at })
      return
    case 'step.quarantined': {
      const { at, boot, error } = record
      step.quarantined = { at, boot, error }
      return
    }
    case 'step.released':
      release(step)
      return
    case 'step.reverted':
      tryEnds(step)
      Object.assign(step, { state: 'reverted', kept: record.kept, kept_names: record.names, revert_ms: record.ms })
      if (record.observed) step.observed = record.observed
      return
    case 'step.accepted':
      Object.assign(step, { state: 'accepted', accepted_note: record.note })
      return
  }
}
