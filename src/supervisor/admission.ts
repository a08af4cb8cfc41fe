/** What a run that has planned is asked before it begins: nothing un-undone is in its way, its systems may be broken, nobody uses the same things. */
import type { Clock } from '../core/clock.ts'
import { factsOf, messageOf } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Facts } from '../core/facts.ts'
import { atMost } from '../core/within.ts'
import type { PlaceStarted } from '../journal/journal.ts'
import type { BlockedRuns } from './blocked.ts'
import type { Claims } from './claims.ts'
import type { ToWorker } from './protocol.ts'

/** A run that has planned and is about to begin. */
export interface Admission {
  run: string
  experiment: string
  places: readonly PlaceStarted[]
}

export interface AdmissionsOptions {
  claims: Claims
  blocked: BlockedRuns
  clock: Clock
  emit(event: ChaosEvent): void
}

/** Longest wait for a claim that another run holds. */
const CLAIM_WAIT_MS = 60 * 60_000

/** For a worker that is gone. */
const OVER: ToWorker = { type: 'refused', code: 'ABORTED', message: 'the run is over' }

export class Admissions {
  readonly #options: AdmissionsOptions
  /** Runs that have asked and are not over: a worker may die while its answer is made. */
  readonly #asking = new Set<string>()
  #admit: (run: Admission) => Promise<string | undefined> = () => Promise.resolve(undefined)

  constructor(options: AdmissionsOptions) {
    this.#options = options
  }

  /** Asked of every run that has planned: why it may not change the system that it has found, or undefined. */
  admitBy(admit: (run: Admission) => Promise<string | undefined>): void {
    this.#admit = admit
  }

  /** The answer to a worker that asks for claims. */
  async claim(admission: Admission, keys: string[], wait: 'queue' | 'skip'): Promise<ToWorker> {
    const { claims, blocked, clock, emit } = this.#options
    const { run, places } = admission
    this.#asking.add(run)
    try {
      const systems = places.map(({ identity }) => identity.parts)
      blocked.refuse('', systems, keys)
    } catch (error) {
      return { type: 'refused', code: 'BLOCKED_BY_RESIDUE', message: messageOf(error), ...aboutOf(error) }
    }
    const unknown = await this.#admit(admission)
    if (unknown !== undefined) return { type: 'refused', code: 'REFUSED_UNTRUSTED', message: unknown }
    if (!this.#asking.has(run)) return OVER
    const taken = await claims.take(run, keys)
    if (!this.#asking.has(run)) {
      await claims.release(run)
      return OVER
    }
    if (taken.granted) return { type: 'claimed', waited: false }
    const busy = `${taken.key} is in use by run ${taken.by}`
    const about = { run: taken.by, resource: taken.key }
    if (wait === 'skip') return { type: 'refused', code: 'REFUSED_CLAIMED', message: busy, about }
    const at = new Date(clock.now()).toISOString()
    emit({ type: 'run.phase', phase: 'claim', detail: `waits: ${busy}`, about, run, at })
    const outcome = await atMost(
      { ms: CLAIM_WAIT_MS, clock },
      () => claims.wait(run, keys),
      () => 'late' as const,
    )
    if (outcome === 'released') return { type: 'claimed', waited: true }
    return { type: 'refused', code: 'REFUSED_CLAIMED', message: `${busy}, and it did not end in time`, about }
  }

  /** The run is over. */
  release(run: string): Promise<void> {
    this.#asking.delete(run)
    return this.#options.claims.release(run)
  }
}

function aboutOf(error: unknown): { about?: Facts } {
  const { about } = factsOf(error)
  return about ? { about } : {}
}

/** For workers that begin nothing. */
export function noClaims(): Promise<ToWorker> {
  return Promise.resolve({ type: 'refused', code: 'REFUSED_CLAIMED', message: 'only a run takes claims' })
}
