/**
 * The switch and the registry: whether anything may be injected, which components there are, what is in their slots.
 * An application has one of its own (enable.ts); tests and tools make more.
 */
import { Component } from './component.ts'
import { ChaosDisabledError } from './errors.ts'
import { FaultConfigError, readFault, readNames } from './fault.ts'
import type { FaultConfig } from './fault-type.ts'
import { Lease } from './lease.ts'
import { HeldMemory } from './memory.ts'
import { componentsOf, Placement } from './placement.ts'
import type { PlacementOptions } from './placement.ts'
import { mintSeed } from './random.ts'
import type { FiredFault } from './rule.ts'
import { FaultSequence } from './sequence.ts'
import { warnOfUnknown } from './unmet.ts'
import { MOST_BLOCK_MS, Waits } from './waits.ts'

/**
 * `idle`: only a lease can inject, as nobody has said anything. `enabled`: everything can.
 * `disabled`: nothing can, leases neither, until it is enabled again.
 */
export type ChaosState = 'idle' | 'enabled' | 'disabled'

export interface ChaosOptions {
  enabled?: boolean | undefined
  /** Of the sequences of everything that has no seed of its own. */
  seed?: string | number
  /** What resource_exhaustion may hold at once, bytes; default 256 MiB. */
  most_held_bytes?: number
  /** The longest that latency and timeout may block in one call of a synchronous function; default 1,000. */
  most_block_ms?: number
  /** Told of every fault that has taken effect. */
  fired?: (fired: FiredFault) => void
  /** Told once of each thing that would else do nothing silently; default a warning of the process. */
  warn?: (message: string) => void
}

export interface LeaseOptions {
  faults: readonly FaultConfig[]
  /** For faults without affected_components; empty means every component. */
  components?: readonly string[]
  /** The faults end by themselves so long after the last renewal. */
  lease_ms: number
  seed?: string | number | undefined
  fired?: (fired: FiredFault) => void
  ended?: () => void
}

export class Chaos {
  /** False: every wrapped call is the bare call. The one thing that is looked at when nothing is to be done. */
  on = false
  /** Something is wrapped whose components are known with their calls only: hosts of a fetch, tools of an MCP client. */
  openEnded = false
  /** Tells this one from that of another process, or of the same program started again. */
  readonly instance = mintSeed() + mintSeed()
  readonly memory: HeldMemory
  /** For everything without a seed or sequence of its own. */
  readonly sequence: FaultSequence
  /** Waits of faults that belong to no placement. */
  readonly waits: Waits
  readonly #components = new Map<string, Component>()
  readonly #placements = new Set<Placement>()
  readonly #fired: ChaosOptions['fired']
  readonly #mostBlockMs: number
  readonly #warn: (message: string) => void
  readonly #warned = new Set<string>()
  #state: ChaosState = 'idle'

  constructor({ enabled, seed, most_held_bytes: most, most_block_ms: block, fired, warn }: ChaosOptions = {}) {
    this.memory = new HeldMemory(most)
    this.sequence = new FaultSequence({ seed })
    this.#fired = fired
    this.#warn = warn ?? emitWarning
    this.#mostBlockMs = readBlock(block)
    this.waits = new Waits({ most_ms: this.#mostBlockMs, together_ms: Infinity })
    if (enabled === true) this.enable()
    if (enabled === false) this.disable()
  }

  get state(): ChaosState {
    return this.#state
  }
  get enabled(): boolean {
    return this.#state === 'enabled'
  }

  enable(): void {
    this.#state = 'enabled'
    this.waits.open()
    this.#update()
  }

  /** Ends everything at once: experiments, leases, calls that wait. Nothing is injected until it is enabled again. */
  disable(): void {
    this.#state = 'disabled'
    for (const placement of [...this.#placements]) placement.end()
    this.waits.close()
    this.#update()
  }

  /** The component of this name; made when there is none. */
  component(name: string): Component {
    const known = this.#components.get(name)
    if (known) return known
    const component = new Component(name)
    this.#components.set(name, component)
    this.#fill(component)
    return component
  }

  /** Names of the components that the application has wrapped, sorted. */
  components(): string[] {
    return [...this.#components.values()]
      .filter((c) => c.wrapped)
      .map((c) => c.name)
      .sort()
  }

  /** The same with how often each has been called so far. */
  calls(): { name: string; calls: number; is_sync?: boolean }[] {
    return this.components().map((name) => {
      const { calls, isSync } = this.component(name)
      return { name, calls, ...(isSync && { is_sync: true }) }
    })
  }

  /** Puts faults in place until the placement is ended. Throws ChaosDisabledError unless enabled. */
  place(options: PlacementOptions): Placement {
    if (!this.enabled) throw new ChaosDisabledError(NOT_ENABLED)
    warnOfUnknown(
      this,
      options.faults.flatMap((fault) => componentsOf(fault, options.components ?? [])),
    )
    return this.#place(options)
  }

  /** Puts faults in place until they are ended or no longer renewed; also where nobody has enabled anything. */
  lease({ faults, components, lease_ms: ms, seed, fired, ended }: LeaseOptions): Lease {
    if (this.#state === 'disabled') throw new ChaosDisabledError(LEASES_REFUSED)
    const placement = this.#place({
      faults: faults.map((fault, i) => readFault(fault, `faults[${i}]`)),
      components: readNames(components, 'lease', 'components'),
      sequence: new FaultSequence({ seed }),
      ...(fired && { fired }),
      ended: () => {
        lease.end()
        ended?.()
      },
    })
    const lease = new Lease(placement, ms)
    return lease
  }

  /** Says it once. */
  warn(message: string): void {
    if (this.#warned.has(message) || this.#warned.size >= MOST_WARNINGS) return
    this.#warned.add(message)
    this.#warn(message)
  }

  /** Tells the listener of this instance. */
  tell(fired: FiredFault): void {
    this.#fired?.(fired)
  }

  #place(options: PlacementOptions): Placement {
    const fired = (fault: FiredFault) => {
      options.fired?.(fault)
      this.tell(fault)
    }
    const placement = new Placement({ ...options, fired, most_block_ms: this.#mostBlockMs }, this.memory, (gone) => {
      this.#placements.delete(gone)
      this.#update()
    })
    this.#placements.add(placement)
    this.#update()
    return placement
  }

  #update(): void {
    for (const component of this.#components.values()) this.#fill(component)
    this.on = this.enabled || this.#placements.size > 0
  }

  #fill(component: Component): void {
    const rules = [...this.#placements].flatMap((placement) => placement.rulesFor(component.name))
    component.rules = rules.length > 0 ? rules : undefined
  }
}

const MOST_WARNINGS = 1000

function emitWarning(message: string): void {
  const { process } = globalThis as { process?: { emitWarning?: (message: string, type: string) => void } }
  if (process?.emitWarning) process.emitWarning(message, 'ChaosWarning')
  else console.warn(`chaos-agents: ${message}`)
}

function readBlock(ms = MOST_BLOCK_MS): number {
  if (ms >= 0 && Number.isFinite(ms)) return ms
  throw new FaultConfigError(`most_block_ms must be a number of at least 0, got ${ms}`)
}

const NOT_ENABLED =
  'nothing is injected unless it is enabled: call enable() from chaos-agents, or start the process with CHAOS_ENABLED=1'
const LEASES_REFUSED =
  'this application refuses faults (disable() was called, or CHAOS_ENABLED says no): call enable() to allow them again'
