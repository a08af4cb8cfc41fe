/** Injected waits: each ends when its time is up, when the caller gives up, or when the fault is taken away. */

export interface BlockLimits {
  /** The longest that one call may stand still. */
  most_ms: number
  /** All calls together, before the event loop gets a breath; infinite where no lease has to be renewed or ended. */
  together_ms: number
}

/** In one slice the thread cannot see that its time is up. */
const SLICE_MS = 50
/** The pause after calls that have blocked for as long as they may: enough to answer whoever wants to end the fault. */
const BREATH_MS = 250

export class Waits {
  /** `performance.now()` when the faults end unless they are renewed. A thread that stands still can renew nothing. */
  ends = Infinity
  /** Ends the faults whose time is up, where no timer could. */
  expire: () => void = () => undefined
  readonly #limits: BlockLimits
  readonly #open = new Set<() => void>()
  #closed = false
  /** Milliseconds that calls have stood still since the event loop had its last breath. */
  #stood = 0

  constructor(limits: BlockLimits = { most_ms: MOST_BLOCK_MS, together_ms: Infinity }) {
    this.#limits = limits
  }

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

  /**
   * For a synchronous function, which can be delayed in no other way: the whole thread stands still, for no longer than the
   * limits and the lease. False when the fault ended first.
   */
  block(ms: number): boolean {
    if (ms <= 0) return !this.#closed
    const begun = performance.now()
    const until = begun + Math.min(ms, this.#limits.most_ms, this.#limits.together_ms - this.#stood)
    for (let now = begun; !this.#closed && now < until; now = performance.now()) {
      if (now >= this.ends) this.expire()
      else standStill(Math.min(until - now, this.ends - now, SLICE_MS))
    }
    if (performance.now() >= this.ends) this.expire()
    this.#count(performance.now() - begun)
    return !this.#closed
  }

  #count(ms: number): void {
    if (this.#limits.together_ms === Infinity || ms <= 0) return
    if (this.#stood === 0) unheld(setTimeout(() => this.#breathe(), 0))
    this.#stood += ms
  }

  /** The first turn of the event loop begins the pause; its end allows calls to block again. */
  #breathe(): void {
    if (this.#stood < this.#limits.together_ms) {
      this.#stood = 0
      return
    }
    unheld(setTimeout(() => (this.#stood = 0), BREATH_MS))
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

/** How long one call of a synchronous function may stand still unless told. */
export const MOST_BLOCK_MS = 1000

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(ms, 0))
}

/** A timer that keeps no process alive. A browser's is a number, and its page lives anyway. */
export function unheld<T>(timer: T): T {
  if (typeof timer === 'object') (timer as { unref?: () => unknown } | null)?.unref?.()
  return timer
}
