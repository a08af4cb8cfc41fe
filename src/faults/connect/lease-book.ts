/** The leases of one application by their marks and owners: granted, renewed, ended for good; and what they did, for a while after their end. */
import type { Chaos } from '../chaos.ts'
import { EVERY } from '../component.ts'
import { ChaosDisabledError } from '../errors.ts'
import { FaultConfigError, readNames } from '../fault.ts'
import type { Lease } from '../lease.ts'
import { CallsSince } from './calls-since.ts'
import { LONGEST_KEY, LONGEST_LEASE_MS, LONGEST_MARK, runOf, SHORTEST_KEY, SHORTEST_LEASE_MS } from './protocol.ts'
import type { EndAll, Grant, Keyed, Leases, LeaseView, Marked, RefusalCode } from './protocol.ts'

/** Marks that have ended, and prefixes that have: more than any daemon could still have in flight. */
const MOST_REMEMBERED = 1_000

export class RefusedRequest extends Error {
  readonly code: RefusalCode
  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}

interface Entry {
  mark: string
  owner: string | undefined
  components: readonly string[]
  fault_types: readonly string[]
  lease: Lease
  /** `performance.now()`: setting the clock makes nothing older. */
  granted: number
  calls: CallsSince
  fired: Map<string, number>
}

export class LeaseBook {
  readonly #chaos: Chaos
  /** By mark and owner (`idOf`): others may use our names, and then have leases of their own. */
  readonly #inForce = new Map<string, Entry>()
  readonly #over = new Map<string, Entry>()
  /** A grant that was on its way when its end was asked for must not land after it. */
  readonly #ended = new Set<string>()
  readonly #endedRuns = new Set<string>()

  readonly #ownerOf: (key: string) => string

  /** `ownerOf`: what is kept and shown of a key. */
  constructor(chaos: Chaos, ownerOf: (key: string) => string) {
    this.#chaos = chaos
    this.#ownerOf = ownerOf
  }

  grant(request: Grant): Marked {
    const { mark, faults, components, lease_ms: ms, seed } = readGrant(request)
    const owner = this.#readOwner(request)
    const id = idOf(mark, owner)
    if (this.#ended.has(id) || [...this.#endedRuns].some((prefix) => mark.startsWith(prefix)))
      throw new RefusedRequest('ended', `${mark} has been ended`)
    if (this.#inForce.has(id)) return this.renew(request)
    const other = [...this.#inForce.values()].find((e) => runOf(e.mark) !== runOf(mark) && overlap(e, components))
    if (other)
      throw new RefusedRequest(
        'held',
        `${components.join(', ')} is under the faults of ${other.mark}; wait for its end`,
      )
    // A lease that has run out and is granted again goes on counting.
    const before = this.#over.get(id)
    const fired = before?.fired ?? new Map<string, number>()
    const calls = new CallsSince(this.#chaos, components, before?.calls.count)
    const granted = before?.granted ?? performance.now()
    const lease = this.#lease({
      faults,
      components,
      lease_ms: ms,
      seed,
      fired: ({ component }) => void fired.set(component, (fired.get(component) ?? 0) + 1),
      ended: () => this.#close(id),
    })
    this.#over.delete(id)
    const fault_types = faults.map((f) => f.fault_type)
    this.#inForce.set(id, { mark, owner, components, fault_types, lease, granted, calls, fired })
    return { mark }
  }

  renew(request: Keyed): Marked {
    const mark = readMark(request.mark)
    const entry = this.#inForce.get(idOf(mark, this.#readOwner(request)))
    if (entry?.lease.renew() !== true) throw new RefusedRequest('unknown', `there is no lease ${mark} in force`)
    return { mark }
  }

  end(request: Keyed | EndAll): { ended: string[] } {
    const entries = 'prefix' in request ? this.#endRun(request) : this.#endOne(request)
    for (const { lease } of entries) lease.end()
    return { ended: entries.map(({ mark }) => mark) }
  }

  #endOne(request: Keyed): Entry[] {
    const id = idOf(readMark(request.mark), this.#readOwner(request))
    remember(this.#ended, id)
    const entry = this.#inForce.get(id)
    return entry ? [entry] : []
  }

  #endRun({ prefix, grants_only: grantsOnly }: EndAll): Entry[] {
    if (!readMark(prefix).endsWith('-')) throw wrong('prefix must end with "-"')
    remember(this.#endedRuns, prefix)
    if (grantsOnly === true) return []
    return [...this.#inForce.values()].filter(({ mark, owner }) => mark.startsWith(prefix) && owner === undefined)
  }

  /** All of them, as when the application stops listening: nobody could renew or end them any more. */
  endEverything(): void {
    for (const { lease } of [...this.#inForce.values()]) lease.end()
  }

  leases(): Leases {
    return {
      leases: [
        ...[...this.#inForce.values()].map((entry) => viewOf(entry, true)),
        ...[...this.#over.values()].map((entry) => viewOf(entry, false)),
      ],
    }
  }

  #readOwner({ key }: Keyed): string | undefined {
    if (key === undefined) return undefined
    if (typeof key === 'string' && key.length >= SHORTEST_KEY && key.length <= LONGEST_KEY && /^[\w-]+$/.test(key))
      return this.#ownerOf(key)
    throw wrong(`a key has ${SHORTEST_KEY} to ${LONGEST_KEY} letters, digits, "-" or "_"`)
  }

  #lease(options: Parameters<Chaos['lease']>[0]): Lease {
    try {
      return this.#chaos.lease(options)
    } catch (error) {
      if (error instanceof ChaosDisabledError) throw new RefusedRequest('disabled', error.message)
      if (error instanceof FaultConfigError) throw wrong(error.message)
      throw error
    }
  }

  #close(id: string): void {
    const entry = this.#inForce.get(id)
    if (!entry) return
    entry.calls.stop()
    this.#inForce.delete(id)
    this.#over.set(id, entry)
    trim(this.#over)
  }
}

/** Written by others: every field is looked at. What a fault may be, the library itself says. */
function readGrant(request: Grant): Grant {
  const { faults, lease_ms: ms, seed } = request
  const mark = readMark(request.mark)
  if (!Array.isArray(faults) || faults.length === 0) throw wrong('faults must be a list of faults, not empty')
  if (typeof ms !== 'number' || !(ms >= SHORTEST_LEASE_MS && ms <= LONGEST_LEASE_MS))
    throw wrong(`lease_ms must be from ${SHORTEST_LEASE_MS} to ${LONGEST_LEASE_MS}`)
  if (seed !== undefined && typeof seed !== 'string' && typeof seed !== 'number') throw wrong('seed must be a text')
  let components: readonly string[]
  try {
    components = readNames(request.components, 'lease', 'components')
  } catch (error) {
    throw wrong((error as Error).message)
  }
  if (components.length === 0) throw wrong('components must name at least one component, or "*"')
  return { mark, faults, components, lease_ms: ms, ...(seed === undefined ? {} : { seed }) }
}

function readMark(mark: unknown): string {
  if (typeof mark === 'string' && mark.length <= LONGEST_MARK && /^chaos-[a-z0-9-]+$/.test(mark)) return mark
  throw wrong(`a mark is chaos-<install>-<run>-<step>, at most ${LONGEST_MARK} characters`)
}

function idOf(mark: string, owner = ''): string {
  return `${mark} ${owner}`
}

function wrong(message: string): RefusedRequest {
  return new RefusedRequest('bad_request', message)
}

function overlap(entry: Entry, components: readonly string[]): boolean {
  return [entry.components, components].some((names) => names.includes(EVERY))
    ? true
    : entry.components.some((name) => components.includes(name))
}

function viewOf({ mark, owner, components, fault_types, granted, calls, fired }: Entry, inForce: boolean): LeaseView {
  const counts = [...fired.values()]
  return {
    ...{ mark, ...(owner === undefined ? {} : { owner }), components, fault_types, in_force: inForce },
    age_ms: Math.round(performance.now() - granted),
    calls: calls.count,
    fired: counts.reduce((sum, n) => sum + n, 0),
    fired_by_component: Object.fromEntries(fired),
  }
}

function remember(set: Set<string>, value: string): void {
  set.delete(value)
  set.add(value)
  trim(set)
}

/** The oldest goes. */
function trim(things: Set<string> | Map<string, unknown>): void {
  if (things.size <= MOST_REMEMBERED) return
  const [oldest] = things.keys()
  if (oldest !== undefined) things.delete(oldest)
}
