/** A clock that a test turns. Short pauses that nothing can end pass at once and move time; other sleeps wait for `advance`. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'

interface Sleeper {
  ms: number
  due: number
  wake(): void
}

export class FakeClock implements Clock {
  /** Pauses without a signal up to this many milliseconds take no real time. */
  readonly #atOnce: number
  #time = 0
  #sleepers: Sleeper[] = []

  constructor({ atOnce = 2_000 }: { atOnce?: number } = {}) {
    this.#atOnce = atOnce
  }

  now(): number {
    return Date.UTC(2026, 0, 2, 3, 4, 5) + this.#time
  }

  monotonic(): number {
    return this.#time
  }

  /** The sleeps that wait for `advance`, milliseconds as asked for. */
  get sleeping(): number[] {
    return this.#sleepers.map((s) => s.ms)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    if (ms <= 0 || (signal === undefined && ms <= this.#atOnce)) {
      this.advance(Math.max(0, ms))
      return setImmediate()
    }
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers = this.#sleepers.filter((s) => s !== sleeper)
        reject(signal?.reason as Error)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const sleeper: Sleeper = { ms, due: this.#time + ms, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', stop, { once: true })
    })
  }

  /** Moves time on and wakes whoever is due, in order. */
  advance(ms: number): void {
    this.#time += ms
    const due = this.#sleepers.filter((s) => s.due <= this.#time).sort((a, b) => a.due - b.due)
    this.#sleepers = this.#sleepers.filter((s) => s.due > this.#time)
    for (const sleeper of due) sleeper.wake()
  }

  /** Resolves as soon as somebody sleeps for `ms`, give or take one; fails after ten real seconds. */
  async untilSleeping(ms: number): Promise<void> {
    await until(() => this.#sleepers.some((s) => Math.abs(s.ms - ms) <= 1), `nobody sleeps for ${ms} ms`)
  }
}

/** Waits for something to become true; fails after ten seconds. */
export async function until(holds: () => boolean | Promise<boolean>, otherwise: string): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`after ten seconds: ${otherwise}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
