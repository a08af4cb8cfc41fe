/** How often components were called since a lease was granted: without it nobody could tell a fault that was met from one that was not. */
import type { Chaos } from '../chaos.ts'
import { EVERY } from '../component.ts'

export class CallsSince {
  readonly #chaos: Chaos
  readonly #components: readonly string[]
  readonly #before: ReadonlyMap<string, number>
  /** Of earlier leases of the same mark. */
  readonly #already: number
  #total: number | undefined

  constructor(chaos: Chaos, components: readonly string[], already = 0) {
    this.#chaos = chaos
    this.#components = components
    this.#before = new Map(chaos.calls().map(({ name, calls }) => [name, calls]))
    this.#already = already
  }

  get count(): number {
    return this.#total ?? this.#already + this.#now()
  }

  /** Calls from now on meet no fault of this lease. */
  stop(): void {
    this.#total = this.count
  }

  #now(): number {
    return this.#chaos
      .calls()
      .filter(({ name }) => this.#components.includes(name) || this.#components.includes(EVERY))
      .reduce((sum, { name, calls }) => sum + calls - (this.#before.get(name) ?? 0), 0)
  }
}
