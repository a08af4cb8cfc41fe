/**
 * A bounded wait. The timer is our own and is held until the work is over: on Node 20 the signal of AbortSignal.timeout()
 * inside AbortSignal.any() may be collected as garbage, and then it never fires.
 */

/**
 * Does `work` with a signal that aborts after `ms` milliseconds (with a TimeoutError, as AbortSignal.timeout does), or with
 * the reason of the first of `signals` that aborts. Rejects as `work` does: it must heed its signal. With `alone: false` the
 * timer keeps no process alive that has nothing else to wait for.
 */
export async function within<T>(
  limit: number | { ms: number; alone: false },
  work: (signal: AbortSignal) => Promise<T>,
  ...signals: readonly AbortSignal[]
): Promise<T> {
  const ms = typeof limit === 'number' ? limit : limit.ms
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(new DOMException(`no end within ${ms} ms`, 'TimeoutError')), ms)
  if (typeof limit !== 'number') timer.unref()
  const links = signals.map((signal) => ({ signal, stop: (): void => over.abort(signal.reason) }))
  for (const { signal, stop } of links) {
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
  }
  try {
    return await work(over.signal)
  } finally {
    clearTimeout(timer)
    for (const { signal, stop } of links) signal.removeEventListener('abort', stop)
  }
}
