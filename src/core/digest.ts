/** What a night was like: what ran, what did not and why, what took longer to undo than last time, what is pending. */
import type { Outcome } from './report.ts'

export interface Digest {
  /** From (included) and to (excluded); ISO 8601, UTC, like every time here. */
  since: string
  until: string
  /** Runs that ended in this time, by outcome; the most frequent first. */
  ran: { outcome: Outcome; count: number; experiments: string[] }[]
  /** Those of them that a person should look at: neither completed nor stopped on purpose, or with something left or kept. */
  notable: {
    run: string
    experiment: string
    outcome: Outcome
    recovered: boolean
    residue: number
    kept: number
    reason?: string
  }[]
  /** Due times that did not become a run, by cause (the words of `schedule.skipped`); the most frequent first. */
  skipped: { cause: string; count: number; experiments: string[]; last: { slot: string; reason: string } }[]
  /** Undone more slowly than in the same experiment's previous clean run. */
  slower: Slower[]
  /** Runs that are not undone yet. */
  pending: { run: string; experiment: string; endpoint: string; started_at: string; steps: number }[]
  /** The next due times, if they are known. */
  next: { experiment: string; at: string }[]
}

export interface Slower {
  run: string
  experiment: string
  /** `undo`: what its steps took to undo, added up. `around`: the whole run without its soak. */
  what: 'undo' | 'around'
  ms: number
  before_ms: number
  before_run: string
}
