/** How many resources a run may still pick by itself: `limits.percent` of a kind, `limits.resources` of all kinds together. */
import type { Experiment } from '../core/experiment.ts'
import type { Resource } from '../core/skill.ts'

export class Allowance {
  readonly #kinds: ReadonlyMap<string, string>
  /** Of each kind, what there is and what is picked. */
  readonly #there = new Map<string, number>()
  readonly #used = new Map<string, number>()
  readonly #picked = new Set<string>()
  readonly #limits: Experiment['safety']['limits']

  constructor(all: readonly Resource[], limits: Experiment['safety']['limits']) {
    this.#limits = limits
    this.#kinds = new Map(all.map(({ id, kind }) => [id, kind]))
    for (const kind of this.#kinds.values()) this.#there.set(kind, (this.#there.get(kind) ?? 0) + 1)
  }

  pick(id: string): void {
    if (this.#picked.has(id)) return
    this.#picked.add(id)
    const kind = this.#kinds.get(id)
    if (kind !== undefined) this.#used.set(kind, (this.#used.get(kind) ?? 0) + 1)
  }

  /** What an invocation may pick from: all of it, or what is picked already where the rest would be too many. */
  open(resources: readonly Resource[]): Resource[] {
    return resources.filter(({ id, kind }) => this.#picked.has(id) || this.#left(kind) > 0)
  }

  /** How many of a kind an invocation may pick. When it is used up, later skills may still pick what earlier ones did. */
  mayPick(kind: string): number {
    return this.#left(kind) || this.#picked.size
  }

  /** `percent` of the kind but never less than one. */
  #left(kind: string): number {
    const share = Math.max(1, Math.floor(((this.#there.get(kind) ?? 0) * this.#limits.percent) / 100))
    return Math.max(0, Math.min(share - (this.#used.get(kind) ?? 0), this.#limits.resources - this.#picked.size))
  }
}
