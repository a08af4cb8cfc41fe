/**
 * Which systems may be broken: those that were broken before, or that an operator has named with `chaos trust`. A
 * connection string that was changed by mistake points at a system that nobody has seen yet.
 */
import type { Clock } from '../core/clock.ts'
import { listed } from '../core/counted.ts'
import { CodedError } from '../core/errors.ts'
import type { DaemonStatus } from '../core/status.ts'
import type { StandingOrders, Orders } from '../journal/orders.ts'
import { sameSystem } from '../supervisor/blocked.ts'
import type { Admission } from '../supervisor/admission.ts'

export type Untrusted = DaemonStatus['untrusted'][number]

export interface TrustOptions {
  orders: Orders
  clock: Clock
  /** `settings.trust` as it is now. */
  mode(): 'warn' | 'require'
  /** What was discovered, for the person who decides. */
  summaryOf(run: string): string
  warn(message: string): void
}

export class Trust {
  readonly #options: TrustOptions
  /** By experiment: what has been refused and waits for a word. */
  readonly #waiting = new Map<string, Untrusted[]>()

  constructor(options: TrustOptions) {
    this.#options = options
  }

  get waiting(): Untrusted[] {
    return [...this.#waiting.values()].flat()
  }

  /** Why the run may not begin; undefined when it may. */
  async admit({ run, experiment, places }: Admission): Promise<string | undefined> {
    const { orders, mode, summaryOf, warn } = this.#options
    const summary = summaryOf(run)
    const systems = places.map(({ endpoint, identity: { parts } }) => ({ endpoint, identity: parts }))
    const fresh = new Map<string, Untrusted>()
    // Instances of one application are one system.
    for (const system of systems)
      if (!isTrusted(orders.current, system)) fresh.set(JSON.stringify(system), { experiment, ...system, summary })
    const unknown = [...fresh.values()]
    if (unknown.length === 0) return undefined
    const endpoints = listed(unknown.map(({ endpoint }) => endpoint))
    if (mode() === 'require') {
      this.#waiting.set(experiment, unknown)
      const were = unknown.length === 1 ? 'was' : 'were'
      return `${endpoints} ${were} never broken before (${summary}): look at it, then chaos trust ${JSON.stringify(experiment)}`
    }
    for (const { endpoint, identity } of unknown)
      warn(`first run on ${endpoint} (${summary}): ${identityText(identity)}`)
    await this.#remember(unknown)
    return undefined
  }

  /** Trusts what waits, of one experiment or of all. Throws USAGE when nothing waits of that one. */
  async trust(experiment?: string): Promise<Untrusted[]> {
    const chosen = this.waiting.filter((system) => experiment === undefined || system.experiment === experiment)
    if (chosen.length === 0 && experiment === undefined) return []
    if (chosen.length === 0) {
      const names = this.waiting.map((system) => JSON.stringify(system.experiment)).join(', ')
      throw new CodedError(
        'USAGE',
        `nothing of ${JSON.stringify(experiment)} waits to be trusted${names === '' ? '' : `; there is ${names}`}`,
      )
    }
    await this.#remember(chosen)
    // Two experiments may have waited for the same system.
    for (const [name, systems] of this.#waiting)
      if (systems.every((system) => isTrusted(this.#options.orders.current, system))) this.#waiting.delete(name)
    return chosen
  }

  #remember(systems: readonly Untrusted[]): Promise<void> {
    const since = new Date(this.#options.clock.now()).toISOString()
    return this.#options.orders.change((orders) => ({
      ...orders,
      trusted: [...orders.trusted, ...systems.map(({ endpoint, identity }) => ({ endpoint, identity, since }))],
    }))
  }
}

/** By who it says it is; by its address only where it says nothing. */
function isTrusted(
  orders: Readonly<StandingOrders>,
  { endpoint, identity }: Pick<Untrusted, 'endpoint' | 'identity'>,
): boolean {
  const silent = Object.values(identity).every((part) => part === null)
  return orders.trusted.some((known) => (silent ? known.endpoint === endpoint : sameSystem(known.identity, identity)))
}

function identityText(identity: Record<string, string | null>): string {
  return Object.entries(identity)
    .map(([part, value]) => `${part} ${value ?? 'unreadable'}`)
    .join(', ')
}
