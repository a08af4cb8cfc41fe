/** error: a ChaosError with a code instead of the call; with retry_after_seconds it asks to come back later. */
import type { FaultKind } from '../action.ts'
import { ChaosError } from '../errors.ts'

export const error: FaultKind = {
  act: (fault) => ({
    error: new ChaosError(fault.error_code ?? 500, fault.error_message, fault.retry_after_seconds),
  }),
}
