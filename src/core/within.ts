/**
 * A bounded wait. The timer is our own and is held until the work is over: on Node 20 the signal of AbortSignal.timeout()
 * inside AbortSignal.any() may be collected as garbage, and then it never fires.
 */
import type { Clock } from './clock.ts'

export interface Limit {
  ms: number
  /** Whose time it is; undefined is real time. */
  clock?: Clock
  /** Of real time: the timer keeps no process alive that has nothing else to wait for. */
  alone?: false
  /** The message of the TimeoutError; `no end within N ms` without. */
  why?: string
}

/**
 * Does `work` with a signal that aborts after `ms` milliseconds (with a TimeoutError, as AbortSignal.timeout does), or with
 * the reason of the first of `signals` that aborts. Ends when `work` does and as it does: it must heed its signal.
 */
export async function within<T>(
  limit: number | Limit,
  work: (signal: AbortSignal) => Promise<T>,
  ...signals: readonly AbortSignal[]
): Promise<T> {
  const over = new AbortController()
  const stopTimer = startTimer(typeof limit === 'number' ? { ms: limit } : limit, over)
  const links = signals.map((signal) => ({ signal, stop: (): void => over.abort(signal.reason) }))
  for (const { signal, stop } of links) {
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
  }
  try {
    return await work(over.signal)
  } finally {
    stopTimer()
    for (const { signal, stop } of links) signal.removeEventListener('abort', stop)
  }
}

/**
 * As `within`, and ends with what `instead` answers (or throws) at the limit or the abort, whether `work` heeds its signal or
 * not: what comes of `work` after that is dropped. `reason` is that of the abort: a TimeoutError at the limit.
 */
export async function atMost<T, U>(
  limit: number | Limit,
  work: (signal: AbortSignal) => Promise<T>,
  instead: (reason: unknown) => U,
  ...signals: readonly AbortSignal[]
): Promise<T | U> {
  const limited = async (signal: AbortSignal): Promise<T | U> => {
    if (signal.aborted) return instead(signal.reason)
    const over = new Promise<'over'>((resolve) => signal.addEventListener('abort', () => resolve('over')))
    const done = (async () => ({ value: await work(signal) }))()
    const first = await Promise.race([done, over])
    if (first !== 'over') return first.value
    done.catch(() => undefined)
    return instead(signal.reason)
  }
  return within(limit, limited, ...signals)
}

/** The result ends the timer. */
function startTimer({ ms, clock, alone, why }: Limit, over: AbortController): () => void {
  const late = (): void => over.abort(new DOMException(why ?? `no end within ${ms} ms`, 'TimeoutError'))
  if (clock === undefined) {
    const timer = setTimeout(late, ms)
    if (alone === false) timer.unref()
    return () => clearTimeout(timer)
  }
  const ended = new AbortController()
  clock.sleep(ms, ended.signal).then(late, () => undefined)
  return () => ended.abort()
}
