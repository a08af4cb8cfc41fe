/** Injected waits: each ends when its time is up, when the caller gives up, or when the fault is taken away. */

export class Waits {
  readonly #open = new Set<() => void>()

  /** Resolves with true when the time is up, with false when the fault ended first; rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
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

  /** Whoever waits goes on at once. */
  endAll(): void {
    for (const ended of [...this.#open]) ended()
  }
}

/** For a synchronous function, which can be delayed in no other way: the whole thread stands still. */
export function block(ms: number): void {
  if (ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
