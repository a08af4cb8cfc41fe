/** What every adapter can be told, and its sites by component. */
import { callSite } from '../enable.ts'
import { readFault } from '../fault.ts'
import type { Chaos } from '../chaos.ts'
import type { FaultConfig } from '../fault-type.ts'
import type { FiredFault } from '../rule.ts'
import type { FaultSequence } from '../sequence.ts'
import type { AdapterSite } from '../wrap.ts'

export interface AdapterOptions {
  /** Faults of the adapter itself; experiments and leases find the components without them. */
  faults?: readonly FaultConfig[]
  /** The same seed gives the same sequence. */
  seed?: string | number
  /** A sequence that is recorded or replayed; counts instead of the seed. */
  sequence?: FaultSequence
  /** Told of every fault that has taken effect here. */
  fired?: (fired: FiredFault) => void
  /** Default: the application's own switch and registry. */
  chaos?: Chaos
}

/** Each component's site is made when it is first asked for. Throws FaultConfigError. */
export function sitesOf(options: AdapterOptions, read = readFault): (component: string) => AdapterSite {
  // Wrong fields show where they are written, not at the first call.
  for (const [i, fault] of (options.faults ?? []).entries()) read(fault, `faults[${i}]`)
  const sites = new Map<string, AdapterSite>()
  return (component) => {
    const site = sites.get(component) ?? callSite(component, options)
    sites.set(component, site)
    return site
  }
}
