/**
 * A bounded wait. The timer is our own and is held until the work is over: on Node 20 the signal of AbortSignal.timeout()
 * inside AbortSignal.any() may be collected as garbage, and then it never fires.
 */

/**
 * Does `work` with a signal that aborts after `ms` milliseconds (with a TimeoutError, as AbortSignal.timeout does), or with
 * the reason of the first of `signals` that aborts. Rejects as `work` does: it must heed its signal.
 */
export async function within<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  ...signals: readonly AbortSignal[]
): Promise<T> {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(new DOMException(`no end within ${ms} ms`, 'TimeoutError')), ms)
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
