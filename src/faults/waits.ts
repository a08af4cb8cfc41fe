/** Injected waits: each ends when its time is up, when the caller gives up, or when the fault is taken away. */

export class Waits {
  readonly #open = new Set<() => void>()
  #closed = false

  /** The faults have been taken away: a call that was decided before must not meet them later. */
  get closed(): boolean {
    return this.#closed
  }

  /** Resolves with true when the time is up, with false when the fault ended first; rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error)
        return
      }
      const end = (settle: () => void) => {
        clearTimeout(timer)
        this.#open.delete(ended)
        signal?.removeEventListener('abort', aborted)
        settle()
      }
      const ended = () => end(() => resolve(false))
      const aborted = () => end(() => reject(signal?.reason as Error))
      const timer = setTimeout(() => end(() => resolve(true)), ms)
      this.#open.add(ended)
      signal?.addEventListener('abort', aborted)
    })
  }

  open(): void {
    this.#closed = false
  }

  /** Whoever waits goes on at once, and nobody waits from now on. */
  close(): void {
    this.#closed = true
    for (const ended of [...this.#open]) ended()
  }
}

/** For a synchronous function, which can be delayed in no other way: the whole thread stands still. */
export function block(ms: number): void {
  if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** A timer that keeps no process alive. A browser's is a number, and its page lives anyway. */
export function unheld<T>(timer: T): T {
  if (typeof timer === 'object') (timer as { unref?: () => unknown } | null)?.unref?.()
  return timer
}
