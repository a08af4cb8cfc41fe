/** Faults in the slots of components, put there together and taken away together: by an experiment or by a lease. */
import { EVERY } from './component.ts'
import type { Fault } from './fault.ts'
import type { HeldMemory } from './memory.ts'
import { Rule } from './rule.ts'
import type { FiredFault } from './rule.ts'
import { FaultSequence } from './sequence.ts'
import { MOST_BLOCK_MS, Waits } from './waits.ts'

export interface PlacementOptions {
  faults: readonly Fault[]
  /** For faults without affected_components; empty means every component. */
  components?: readonly string[]
  sequence?: FaultSequence
  fired?: (fired: FiredFault) => void
  /** The longest that one call of a synchronous function may block, and all of them in one turn of the event loop. */
  most_block_ms?: number
  /** Called once, when the faults are gone, whoever took them away. */
  ended?: () => void
}

export class Placement {
  /** Ended with the placement: whoever waits because of it goes on. */
  readonly waits: Waits
  readonly sequence: FaultSequence
  readonly #options: PlacementOptions
  readonly #memory: HeldMemory
  readonly #rules = new Map<string, readonly Rule[]>()
  readonly #remove: (placement: Placement) => void
  #ended = false

  constructor(options: PlacementOptions, memory: HeldMemory, remove: (placement: Placement) => void) {
    const { most_block_ms: most = MOST_BLOCK_MS } = options
    this.waits = new Waits({ most_ms: most, together_ms: most })
    this.#options = options
    this.#memory = memory
    this.#remove = remove
    this.sequence = options.sequence ?? new FaultSequence()
  }

  get hasEnded(): boolean {
    return this.#ended
  }

  /** The rules for one component, each with counters of its own. Begun when first asked for. */
  rulesFor(component: string): readonly Rule[] {
    const known = this.#rules.get(component)
    if (known) return known
    const rules = this.#options.faults.flatMap((fault, index) =>
      this.#affects(fault, component) ? this.rule(fault, component, `${component}/${index}`) : [],
    )
    this.#rules.set(component, rules)
    return rules
  }

  /** A rule that lives as long as the placement; `name` is that of its track in the sequence. */
  rule(fault: Fault, component: string, name: string, fired = this.#options.fired): Rule {
    const track = this.sequence.track(name)
    return new Rule({ fault, component, track, memory: this.#memory, waits: this.waits, fired }).begin()
  }

  /** Takes the faults away; calls that wait because of them go on as if there had been none. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#remove(this)
    this.waits.close()
    this.#options.ended?.()
  }

  #affects(fault: Fault, component: string): boolean {
    const names = componentsOf(fault, this.#options.components ?? [])
    return names.includes(component) || names.includes(EVERY)
  }
}

/** Where a fault acts: its own affected_components, else those of what it belongs to, else everywhere. */
export function componentsOf(fault: Fault, fallback: readonly string[]): readonly string[] {
  return [fault.affected_components, fallback, [EVERY]].find((names) => names.length > 0) ?? []
}
