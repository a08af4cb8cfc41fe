/**
 * The fleet of a run: a live connection to each of its places. A configuration that names one system is one place, without
 * a name; journals, reports and resources name places only where there may be several.
 */
import { connectBounded, listBounded } from '../core/bounded-agent.ts'
import type { Mask } from '../core/filled.ts'
import { maskedAgent } from '../core/masked-agent.ts'
import type { Identity } from '../core/identity.ts'
import type { Agent, ConnectOptions, Place, Target } from '../core/target.ts'
import type { PlaceStarted } from '../journal/journal.ts'
import { pooled } from './pooled.ts'
import { closeWithin } from './rollback.ts'
import { placesOfEntries } from './where.ts'
import type { Experiment } from '../core/experiment.ts'

export interface Member {
  /** Empty for the one place of a configuration that names one system. */
  place: string
  /** Where it is, without credentials. */
  endpoint: string
  agent: Agent
  identity: Identity
}

/** Connections that are opened at once. */
const AT_ONCE = 50

export class Fleet {
  readonly members: readonly Member[]
  /** Whether its places have names. */
  readonly named: boolean

  constructor(members: readonly Member[]) {
    this.members = members
    this.named = members.some(({ place }) => place !== '')
  }

  /** Throws for a place that the fleet has not. */
  at(place: string): Member {
    const found = this.members.find((member) => member.place === place)
    if (!found) throw new Error(`the run has no place ${JSON.stringify(place)}`)
    return found
  }

  /** As a journal remembers them. */
  get started(): PlaceStarted[] {
    return this.members.map(({ place, endpoint, identity }) => ({ place, endpoint, identity }))
  }

  async close(clock: ConnectOptions['clock']): Promise<void> {
    await Promise.all(this.members.map(({ agent }) => closeWithin(agent, clock)))
  }
}

/** The places that an experiment is on; one without a name where its configuration names one system. */
export async function choosePlaces(
  target: Target,
  { target_config: config, skills }: Pick<Experiment, 'target_config' | 'skills'>,
  seed: string,
  signal: AbortSignal,
): Promise<Place[]> {
  const whole = { id: '', endpoint: target.endpoint(config), config }
  const ids = target.places === undefined ? [] : await listBounded(target.places, config, signal)
  if (target.places === undefined || ids.length < 2) return [whole]
  const chosen = new Set(placesOfEntries(skills, ids, seed).flat())
  const everywhere = chosen.size === ids.length ? ids : undefined
  return ids.flatMap((id) => (chosen.has(id) ? (target.places?.at(config, id, everywhere) ?? []) : []))
}

/** Connects to all of them, side by side. Throws the error of the first that does not answer, with none left open. */
export async function openFleet(
  target: Target,
  places: readonly Place[],
  options: ConnectOptions,
  mask?: Mask,
): Promise<Fleet> {
  const results = await pooled(places, AT_ONCE, (place) => openPlace(target, place, options, mask))
  const fleet = new Fleet(results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])))
  const failed = results.find((result) => result.status === 'rejected')
  if (!failed) return fleet
  await fleet.close(options.clock)
  throw failed.reason
}

async function openPlace(target: Target, place: Place, options: ConnectOptions, mask?: Mask): Promise<Member> {
  const connected = await connectBounded(target, place.config, options)
  const agent = mask ? maskedAgent(connected, mask) : connected
  try {
    return { place: place.id, endpoint: place.endpoint.key, agent, identity: await agent.identity(options.signal) }
  } catch (error) {
    await closeWithin(agent, options.clock)
    throw error
  }
}
