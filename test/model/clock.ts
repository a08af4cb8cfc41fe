/** The time of a model: it stands still until everybody waits, and then goes on to the next who is to wake. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/core/clock.ts'
import type { Life } from './life.ts'

interface Sleeper {
  due: number
  life: Life
  wake(): void
}

export class ModelClock {
  #time = 0
  #wall = Date.UTC(2026, 0, 2, 3, 4, 5)
  #sleepers: Sleeper[] = []

  get monotonic(): number {
    return this.#time
  }

  get now(): number {
    return this.#wall + this.#time
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#wall += ms
  }

  /** The clock as one process sees it: who is dead does not wake. */
  of(life: Life): Clock {
    return {
      now: () => this.now,
      monotonic: () => this.#time,
      sleep: (ms, signal) => this.#sleep(ms, life, signal),
    }
  }

  /** Everything that can go on without time has gone on. Nothing here waits for anything but promises. */
  async settle(): Promise<void> {
    await setImmediate()
  }

  /** Moves on from one sleeper to the next until it holds; false when `ms` have passed before. */
  async until(holds: () => boolean, ms: number): Promise<boolean> {
    const end = this.#time + ms
    for (;;) {
      await this.settle()
      if (holds()) return true
      this.#sleepers = this.#sleepers.filter((s) => !s.life.over)
      const due = this.#sleepers.reduce((least, s) => Math.min(least, s.due), Infinity)
      if (due > end) break
      this.#time = Math.max(this.#time, due)
      const awake = this.#sleepers.filter((s) => s.due <= this.#time)
      this.#sleepers = this.#sleepers.filter((s) => s.due > this.#time)
      for (const sleeper of awake) sleeper.wake()
    }
    this.#time = end
    return false
  }

  async pass(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  #sleep(ms: number, life: Life, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#sleepers = this.#sleepers.filter((s) => s !== sleeper)
        reject(signal?.reason as Error)
      }
      const wake = (): void => {
        signal?.removeEventListener('abort', stop)
        resolve()
      }
      const sleeper: Sleeper = { due: this.#time + Math.max(0, ms), life, wake }
      this.#sleepers.push(sleeper)
      signal?.addEventListener('abort', stop, { once: true })
    })
  }
}
