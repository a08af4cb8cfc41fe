/** A question to a target that gets little time: for the report alone, and never in the way of an undo. */
import type { Clock } from '../core/clock.ts'
import { StepError } from '../core/errors.ts'
import { atMost } from '../core/within.ts'

/** Throws where there is no answer within `ms`, or once `signal` aborts, whether the asked heeds its signal or not. */
export function answered<T>(
  ms: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const none = (reason: unknown): never => {
    if (signal.aborted) throw reason
    throw new StepError('STEP_FAILED', `no answer within ${ms / 1000} s`)
  }
  return atMost({ ms, clock }, ask, none, signal)
}
