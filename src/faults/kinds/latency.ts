/** latency: the call begins later. */
import type { FaultKind } from '../action.ts'

export const latency: FaultKind = {
  act: (fault) => ({ wait_ms: fault.duration_ms ?? 0 }),
}
