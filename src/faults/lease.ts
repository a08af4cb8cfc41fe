/** Faults that live only while somebody says so again and again: whoever put them in place may die. */
import type { Placement } from './placement.ts'
import { unheld } from './waits.ts'

export class Lease {
  readonly #placement: Placement
  readonly #ms: number
  #timer: NodeJS.Timeout | undefined

  constructor(placement: Placement, ms: number) {
    this.#placement = placement
    this.#ms = ms
    placement.waits.expire = () => this.end()
    this.renew()
  }

  get hasEnded(): boolean {
    return this.#placement.hasEnded
  }

  /** The full time again; false when it is too late and the faults are gone. */
  renew(): boolean {
    clearTimeout(this.#timer)
    if (this.hasEnded) return false
    this.#placement.waits.ends = performance.now() + this.#ms
    // The application must not live longer because of a fault.
    this.#timer = unheld(setTimeout(() => this.end(), this.#ms))
    return true
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#placement.end()
  }
}
