/** What a running daemon says of itself: over its control socket (`chaos status`), at `/readyz`, and to its metrics. */
import type { RunPhase } from './events.ts'
import type { ErrorCode } from './errors.ts'
import type { Facts } from './facts.ts'
import type { Outcome } from './report.ts'

export interface RunningRun {
  run: string
  experiment: string
  endpoint: string
  phase: RunPhase
  /** ISO 8601, UTC; like every time here. */
  since: string
  /** Steps in effect or undone so far, of how many; 0 of 0 before the plan is made. */
  steps_done: number
  steps_total: number
  /** When the soak is over; absent in other phases. */
  soak_ends?: string
}

export interface DaemonStatus {
  pid: number
  version: string
  state_dir: string
  started_at: string
  /** False until the first round of recovery is over, and again once it stops. */
  ready: boolean
  /** Why it is stopping. */
  stopping?: string
  config: {
    file: string
    loaded_at: string
    /** The last reload failed: what was wrong. What runs is the configuration of `loaded_at`. */
    problem?: string
  }
  /** Nothing is started; what ran was undone. `until` is absent when only `unfreeze` ends it. */
  frozen?: { since: string; reason: string; until?: string }
  running: RunningRun[]
  /** Due and waiting for a slot. */
  queued: { experiment: string; slot: string }[]
  experiments: {
    experiment: string
    endpoint: string
    schedule?: string
    timezone: string
    /** When it is neither frozen nor disabled; absent when that never comes by itself. */
    next?: string
    /** By `chaos disable`; `until` is absent when only `chaos enable` ends it. */
    disabled?: { until?: string }
    last?: { run: string; outcome: Outcome; residue: number; finished_at: string }
    /** The newest due time that did not run. */
    skipped?: { slot: string; cause: string; reason: string; about?: Facts }
  }[]
  /** Runs that are not clean, and keep their targets from new runs. */
  blocked: {
    run: string
    experiment: string
    endpoint: string
    pending: number
    /** Steps that are not tried again by themselves; absent where there is none. */
    quarantined?: number[]
    /** Its journal cannot be read; it may be whole. */
    unreadable?: true
    reason: string
    /** Of the error that keeps it, where it has one. */
    code?: ErrorCode
    /** It is being undone. */
    recovering?: true
  }[]
  /** Targets that wait for `chaos trust`. */
  untrusted: { experiment: string; endpoint: string; identity: Record<string, string | null>; summary: string }[]
  /** What became of notifications since the start. */
  notify: { delivered: number; failed: number; dropped: number; waiting: number }
}
