/** A poll: asks again and again, after pauses that grow, until there is an answer, its time is over, or it is aborted. */
import type { Clock } from './clock.ts'

export interface Polling {
  clock: Clock
  /** Milliseconds after which it gives up; without, only `signal` ends it. It asks once at least. */
  ms?: number
  /** Ends it: it rejects with the signal's reason. */
  signal?: AbortSignal
  /** Milliseconds of the first pause and of the longest; each is twice the one before. 20 ms and 1 s without. */
  pauses?: readonly [first: number, longest: number]
}

/** What `ask` answers first that is neither undefined nor false; undefined when the time is over. Rejects as `ask` does. */
export async function until<T>(
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  { clock, ms = Infinity, signal, pauses: [first, longest] = [20, 1_000] }: Polling,
): Promise<T | undefined> {
  const end = clock.monotonic() + ms
  for (let pause = first; ; pause = Math.min(pause * 2, longest)) {
    signal?.throwIfAborted()
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    const left = end - clock.monotonic()
    if (left <= 0) return undefined
    await clock.sleep(Math.min(pause, left), signal)
  }
}
