/** What a configuration becomes once loaded: plain, fully defaulted, durations in milliseconds. */
import type { CalendarRules } from './periods.ts'
import type { Filled } from './filled.ts'
import type { NotifySink } from './notify.ts'
import type { Pace } from './pace.ts'

export interface SkillEntry {
  skill_name: string
  /** As written, plus what fell back to `target_config`; checked, but parsed (and defaulted) only when the skill plans. */
  params: Record<string, unknown>
  /** How many times the skill is invoked; the invocations never share a resource. */
  count: number
  /** Its steps are spread over the soak instead of all being applied before it. */
  spread: boolean
  /** When its steps may go, by themselves; the experiment's pace when absent. */
  pace?: Pace
  /** On how many of the run's places; all of them when absent. */
  where?: Where
}

/** All places, so many of them, or a percentage (at least one); which ones, the seed says. */
export type Where = 'all' | number | `${number}%`

export interface Limits {
  /** Rows one run may change or insert. */
  rows: number
  /** Resources one run may touch. */
  resources: number
  /** Percent of the discovered (unfiltered) resources of a kind one run may touch; never less than one resource. */
  percent: number
  /** Longest soak, milliseconds. */
  duration_ms: number
}

export interface Experiment {
  name: string
  target: string
  /** Parsed by the target's schema; contains secrets. */
  target_config: unknown
  skills: SkillEntry[]
  /** The soak: the wait before rolling back. */
  duration_ms: number
  /** Invocations are applied concurrently instead of one after the other. */
  parallel: boolean
  /** When the steps of all entries that do not say may go, together; all before the soak when absent. */
  pace?: Pace
  /** Anchored regular expressions over resource ids and bare names; they restrict what skills pick by themselves. */
  resource_filters: string[]
  safety: Safety
  /** What `${…}` filled in: no message shows it. Never written to a journal. */
  filled?: Filled[]
}

export interface Safety {
  limits: Limits
  /** Glob patterns over host, database, namespace names: allowed although protected by default. */
  allow: string[]
  /** Glob patterns refused whatever else is said, besides the built-in production names. */
  protected: string[]
  /** What to do about skills that nothing on the target would end if we never came back. */
  failsafe: 'warn' | 'require'
}

/** When an experiment may run, and what becomes of a due time that cannot be kept. */
export interface Timing extends CalendarRules {
  /** Of the schedule, the windows and the blackouts. */
  timezone: string
  on_busy: 'queue' | 'skip'
  /** A run begins at its due time or up to so much later, at random. */
  jitter_ms: number
  /** What becomes of due times that passed while nothing could run: nothing, or one run for all of them… */
  on_missed: 'skip' | 'run_once'
  /** …if the newest of them is not older than this. */
  missed_grace_ms: number
}

export interface ScheduledExperiment extends Timing {
  experiment: Experiment
  /** 6 fields, seconds first. */
  schedule?: string
  enabled: boolean
}

export const DEFAULT_TIMING: Timing = {
  timezone: 'UTC',
  on_busy: 'queue',
  jitter_ms: 0,
  on_missed: 'skip',
  missed_grace_ms: 3_600_000,
  windows: [],
  blackouts: [],
}

export interface Settings {
  max_concurrent: number
  timezone: string
  stop_deadline_ms: number
  history: { keep_days: number }
  /** Before the first run on a system that was never broken: say so, or wait for `chaos trust`. */
  trust: 'warn' | 'require'
  /** Where the daemon answers about its health; it does not when absent. */
  health?: HealthSettings
  /** Receivers of notifications; contains secrets. Absent: none are sent. */
  notify?: NotifySink[]
  /** When the digest is sent: 6 fields, seconds first, in `timezone`. */
  digest?: string
}

export interface HealthSettings {
  /** An IP address, or localhost. */
  host: string
  /** 0: any that is free. */
  port: number
  /** A secret; always there when other machines can reach the address. */
  token?: string
}

export interface Config {
  file: string
  settings: Settings
  experiments: ScheduledExperiment[]
  /** Things that are not wrong but worth saying: a schedule that a DST change will skip. */
  warnings: string[]
  /** What `${…}` filled in, in the whole file. */
  filled?: Filled[]
}
