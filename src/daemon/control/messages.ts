/** What goes over the control socket, a line of JSON each. */
import type { ConfigProblem, ErrorCode } from '../../core/errors.ts'
import type { HandOver } from '../../engine/recover.ts'

/** What can be asked for, and with what. Times in milliseconds. */
export type Request =
  | { op: 'status' }
  | { op: 'stop' }
  | { op: 'abort'; run: string; reason: string }
  | { op: 'run-now'; experiment: string; wait: boolean }
  | { op: 'reload' }
  | { op: 'freeze'; reason: string; for_ms?: number }
  | { op: 'unfreeze' }
  | { op: 'disable'; experiment: string; until?: string }
  | { op: 'enable'; experiment: string }
  | { op: 'trust'; experiment?: string }
  | { op: 'recover'; run?: string; hand_over?: HandOver; accept_loss?: { note: string } }

export type Answer =
  { ok: true; result: unknown } | { ok: false; code: ErrorCode; message: string; problems?: readonly ConfigProblem[] }

/**
 * A client that asks with `confirm` is asked back, and the request is carried out when it says so: what a client has given
 * up while the daemon was stopped is not done behind its back. While it is at work, the daemon says that it is.
 */
export const ACCEPTED = '{"accepted":true}\n'
export const GO = '{"go":true}\n'
export const WORKING = '{"working":true}\n'
