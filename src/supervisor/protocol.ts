/** What supervisor and worker say to each other over the IPC channel of the fork: plain JSON. */
import type { ConfigProblem, ErrorCode } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Facts } from '../core/facts.ts'
import type { Experiment } from '../core/experiment.ts'
import type { PlanView } from '../core/plan-view.ts'
import type { Report } from '../core/report.ts'
import type { HandOver } from '../engine/recover.ts'
import type { Swept } from '../engine/sweep.ts'
import type { Survey } from '../core/survey.ts'
import type { PlaceStarted } from '../journal/journal.ts'

/** What a worker is started for; its first message. Secrets travel here and never in argv. */
export type Job =
  | { kind: 'run'; run: string; state_dir: string; experiment: Experiment; seed: string }
  | { kind: 'survey'; install: string; run: string; experiment: Experiment }
  | { kind: 'preview'; install: string; run: string; experiment: Experiment; seed: string }
  | { kind: 'sweep'; state_dir: string; run: string; experiment: Experiment; sweep: SweepOrder }
  | {
      kind: 'recover'
      run: string
      state_dir: string
      target: string
      target_configs: unknown[]
      no_progress_ms: number
      hand_over?: HandOver
    }

/** `install` is the one to connect as. */
export interface SweepOrder {
  install: string
  remove: boolean
  older_than_ms: number
}

export type Result =
  | { kind: 'sweep'; swept: Swept[] }
  | { kind: 'report'; report: Report }
  | { kind: 'plan'; plan: PlanView }
  | { kind: 'survey'; survey: Survey }

/** An error that crossed the process boundary. */
export interface PlainError {
  code: ErrorCode
  message: string
  about?: Facts
  problems?: readonly ConfigProblem[]
}

export type ToWorker =
  | { type: 'job'; job: Job }
  | { type: 'abort'; reason: string }
  | { type: 'claimed'; waited: boolean }
  | { type: 'refused'; message: string; code: ErrorCode; about?: Facts }
  | { type: 'begin'; system: string }

export type FromWorker =
  | { type: 'heartbeat' }
  | { type: 'event'; event: ChaosEvent }
  | { type: 'claim'; keys: string[]; places: PlaceStarted[] }
  /** Of a recovery: it wants to begin on a system, and is done there. */
  | { type: 'begin'; system: string }
  | { type: 'left'; system: string }
  | { type: 'done'; result: Result }
  | { type: 'failed'; error: PlainError }

export const HEARTBEAT_MS = 1_000
