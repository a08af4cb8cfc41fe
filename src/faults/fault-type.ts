/** What a fault is, as it is written in code, in YAML and in JSON: field names are those of the file format. */

/** The six kinds of fault. */
export const FaultType = {
  latency: 'latency',
  error: 'error',
  timeout: 'timeout',
  partial_failure: 'partial_failure',
  resource_exhaustion: 'resource_exhaustion',
  data_corruption: 'data_corruption',
} as const
export type FaultType = (typeof FaultType)[keyof typeof FaultType]

/** How a fault acts, where a kind can act in several ways; the first is the default. */
export const FAULT_MODES = {
  latency: ['delay'],
  error: ['raise'],
  timeout: ['raise'],
  partial_failure: ['raise', 'drop'],
  resource_exhaustion: ['raise', 'rate_limit', 'hold_memory', 'hold_slots'],
  data_corruption: ['raise', 'wrong_values', 'swap_fields', 'truncate', 'stale', 'bit_flip', 'cut_stream'],
} as const satisfies Record<FaultType, readonly string[]>
export type FaultMode = (typeof FAULT_MODES)[FaultType][number]

/** Milliseconds, both ends included. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** Answers of large APIs that clients know: the first two are Anthropic's, the others OpenAI's. */
export const ERROR_BODIES = [
  'overloaded_error',
  'rate_limit_error',
  'rate_limit_exceeded',
  'insufficient_quota',
  'server_error',
] as const
export type ErrorBody = (typeof ERROR_BODIES)[number]

export interface FaultConfig {
  fault_type: FaultType
  /** Fraction of calls that fire, 0 to 1; default 1. */
  probability?: number
  /**
   * latency: how long a call waits. timeout: how long it hangs before it fails. hold_memory: how long it is held. A range is
   * drawn from, for each call anew.
   */
  duration_ms?: number | Range
  /** error: the code of the ChaosError, as a HTTP status would be. */
  error_code?: number
  error_message?: string
  /** The `code` of the error, as a socket (`ECONNRESET`), an API or gRPC (14) gives it; error then needs no error_code. */
  code?: string | number
  /** What an API answers: the name of a known answer (with its status), or the answer itself. */
  body?: ErrorBody | Readonly<Record<string, unknown>>
  /** In code only: makes what is raised, instead of an error of the library. */
  error?: () => unknown
  /** latency, error and timeout: behind the call. The work is done, its answer late or lost. */
  after?: boolean
  /** The last function among the arguments is a callback `(error, answer)`: the error goes there. */
  callback?: boolean
  /** In code only: the calls that the fault looks at, by their arguments; the others are not counted either. */
  when?: (args: readonly unknown[]) => boolean
  /** latency: a wait inside a stream instead, between its items. */
  stall_ms?: number | Range
  /** latency: the stream stalls once, after so many items. */
  stall_after_items?: number
  /** error: a stream breaks off after so many items, as a connection does. */
  reset_after_items?: number
  /** Component names; empty means the target_components of the experiment, or whatever the fault is put on. */
  affected_components?: readonly string[]
  mode?: FaultMode
  /** error and rate_limit: seconds after which the caller is asked to come back. */
  retry_after_seconds?: number
  /** drop: the fraction of a list, a map or a text that is left; default 0.5. */
  keep?: number
  /** drop and cut_stream: how many items of a stream come before it ends; default 1. */
  keep_items?: number
  /** hold_memory: bytes; default 64 MiB. */
  hold_bytes?: number
  /** hold_slots: calls that may run at once; default 1. */
  slots?: number
  /** Only every n-th call. */
  every_nth?: number
  /** Only the first n calls (after the warm-up). */
  first_n?: number
  /** The first `calls` of every `every` calls. */
  burst?: { calls: number; every: number }
  /** Only from…until milliseconds after the fault was put in place. */
  window_ms?: { from: number; until: number }
  /** Warm-up: so many calls pass first. */
  after_calls?: number
  /** Warm-up: so many milliseconds pass first. */
  after_ms?: number
}
