/** timeout: the call hangs for duration_ms and then fails; without duration_ms it fails at once. */
import type { FaultKind } from '../action.ts'
import { durationOf } from '../duration.ts'
import { ChaosTimeoutError } from '../errors.ts'

export const timeout: FaultKind = {
  act({ duration_ms, error_message: message }, { draws }) {
    const ms = durationOf(duration_ms, draws)
    const text = ms > 0 ? `no answer within ${ms} ms` : undefined
    return { wait_ms: ms, error: new ChaosTimeoutError(message ?? text) }
  },
}
