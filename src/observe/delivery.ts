/** One way to hand a notification over, and what came of one attempt. */
import type { Notification } from '../core/notify.ts'

export type Attempt =
  | { delivered: true }
  /** `final`: the receiver does not want it, and another attempt would not change that. */
  | { delivered: false; reason: string; final: boolean; retryAfterMs?: number }

/** One attempt; it has an end of its own, and never throws. */
export type Deliver = (notification: Notification, signal: AbortSignal) => Promise<Attempt>
