/** A question to a target that gets little time: for the report alone, and never in the way of an undo. */
import type { Clock } from '../core/clock.ts'
import { StepError } from '../core/errors.ts'

/** Throws where there is no answer within `ms`, or once `signal` aborts, whether the asked heeds its signal or not. */
export async function answered<T>(
  ms: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const end = new AbortController()
  const stop = (): void => end.abort()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  const late = clock.sleep(ms, end.signal).then(() => {
    throw new StepError('STEP_FAILED', `no answer within ${ms / 1000} s`)
  })
  late.catch(() => undefined)
  try {
    const asking = (async () => ask(AbortSignal.any([signal, end.signal])))()
    asking.catch(() => undefined)
    return await Promise.race([asking, late])
  } finally {
    signal.removeEventListener('abort', stop)
    end.abort()
  }
}
