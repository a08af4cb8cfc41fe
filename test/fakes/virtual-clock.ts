/** A clock in which waiting takes no time: every sleep moves it on at once, until its end; then nothing wakes any more. */
import type { Clock } from '../../src/core/clock.ts'

export class VirtualClock implements Clock {
  #wall: number
  #monotonic = 0
  readonly #end: number
  #resolve: () => void = () => undefined
  /** Resolves when it stands still: somebody sleeps beyond its end. */
  readonly over = new Promise<void>((resolve) => (this.#resolve = resolve))
  /** Called whenever time moves, before the sleeper wakes. */
  onMove: (clock: VirtualClock) => void = () => undefined

  /** `runsFor` is in monotonic milliseconds: steps of the wall clock do not count. */
  constructor(wall: number, runsFor: number) {
    this.#wall = wall
    this.#end = runsFor
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  /** Somebody sets the wall clock. */
  step(ms: number): void {
    this.#wall += ms
  }

  /** Time passes while nothing can run. */
  stall(ms: number): void {
    this.#wall += ms
    this.#monotonic += ms
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (this.#monotonic + ms > this.#end) {
      this.stall(this.#end - this.#monotonic)
      this.#resolve()
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    this.stall(ms)
    this.onMove(this)
  }
}
