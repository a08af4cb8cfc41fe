/** Time, handed in wherever it is used, so that tests can turn it. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Clock {
  /** Wall time, milliseconds since the epoch. */
  now(): number
  /** Monotonic time in milliseconds; only differences mean something. */
  monotonic(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Whether it slept for so long; false when `stop` aborted before. */
export async function slept(clock: Clock, ms: number, stop: AbortSignal): Promise<boolean> {
  return clock.sleep(ms, stop).then(
    () => true,
    () => false,
  )
}

/** Longest delay one timer takes; `setTimeout` beyond 2³¹−1 ms would fire at once. */
const LONGEST_TIMER_MS = 2 ** 30

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, signal) {
    const end = performance.now() + ms
    for (;;) {
      signal?.throwIfAborted()
      const left = end - performance.now()
      if (left <= 0) return
      try {
        await sleep(Math.min(left, LONGEST_TIMER_MS), undefined, signal ? { signal } : {})
      } catch (error) {
        signal?.throwIfAborted()
        throw error
      }
    }
  },
}
