/** Every kind of fault by its name. */
import type { FaultKind } from '../action.ts'
import type { FaultType } from '../fault-type.ts'
import { dataCorruption } from './data_corruption.ts'
import { error } from './error.ts'
import { latency } from './latency.ts'
import { partialFailure } from './partial_failure.ts'
import { resourceExhaustion } from './resource_exhaustion.ts'
import { timeout } from './timeout.ts'

export const FAULT_KINDS: Record<FaultType, FaultKind> = {
  latency,
  error,
  timeout,
  partial_failure: partialFailure,
  resource_exhaustion: resourceExhaustion,
  data_corruption: dataCorruption,
}
