/** resource_exhaustion: raises, answers as a rate limit does, holds memory, or lets only so many calls run at once. */
import type { Action, FaultKind } from '../action.ts'
import { knownAnswer } from '../answers.ts'
import { durationOf } from '../duration.ts'
import { ResourceExhaustedError } from '../errors.ts'

/** What a service says that has seen too many requests. */
const TOO_MANY_REQUESTS = 429
const HOLD_MS = 1000

export const resourceExhaustion: FaultKind = {
  act(fault, { memory, waits, store, draws }): Action {
    const known = knownAnswer(fault.body)
    const { mode, error_message: message = known?.message } = fault
    if (mode === 'rate_limit') {
      const refusal = {
        error_code: fault.error_code ?? known?.status ?? TOO_MANY_REQUESTS,
        retry_after_seconds: fault.retry_after_seconds ?? known?.retry_after_seconds ?? 1,
      }
      return { error: new ResourceExhaustedError(message ?? 'rate limit reached', refusal) }
    }
    if (mode === 'hold_memory') {
      const release = memory.hold(fault.hold_bytes)
      void waits.sleep(durationOf(fault.duration_ms, draws, HOLD_MS)).then(release)
      return {}
    }
    if (mode === 'hold_slots') {
      if (store.slots >= fault.slots)
        return { error: new ResourceExhaustedError(message ?? `all ${fault.slots} slots are taken`) }
      store.slots++
      return { silent: true, release: () => store.slots-- }
    }
    const refusal = known && {
      error_code: fault.error_code ?? known.status,
      retry_after_seconds: known.retry_after_seconds,
    }
    return { error: new ResourceExhaustedError(message, refusal) }
  },
}
