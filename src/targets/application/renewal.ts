/** Keeps a fault alive for as long as it is held: renews its lease on every instance, and grants it to those that have come since. */
import type { Clock } from '../../core/clock.ts'
import { UNDO_MS } from '../../core/skill.ts'
import type { Holdable } from '../../core/skill.ts'
import { within } from '../../core/within.ts'
import type { Grant } from '../../faults/connect/protocol.ts'
import { SaidNoError } from './client.ts'
import type { AppClient } from './client.ts'
import { endEverywhere } from './ownership.ts'
import type { Given } from './ownership.ts'

/** How long the end of a fault may take; what does not answer by then runs out by itself. */
const END_MS = 4_000

export function keepRenewed(target: AppClient, grant: Grant, given: Given, heldMs: number, clock: Clock): Holdable {
  const over = new AbortController()
  const renewing = renew(target, grant, heldMs, clock, over.signal).catch(() => undefined)
  return {
    stopRenewing: () => over.abort(),
    async close() {
      over.abort()
      await renewing
      await within(END_MS, (soon) => endEverywhere(target, given, soon)).catch(() => undefined)
    },
  }
}

async function renew(target: AppClient, grant: Grant, heldMs: number, clock: Clock, over: AbortSignal): Promise<void> {
  const until = clock.monotonic() + heldMs
  while (clock.monotonic() < until) {
    await clock.sleep(grant.lease_ms / 3, over)
    // One that does not answer must not cost the others their renewal.
    const round = async (signal: AbortSignal): Promise<void> => {
      const { instances } = await target.look(signal).catch(() => ({ instances: [] }))
      over.throwIfAborted()
      // A process that was frozen meanwhile must not bring back what has ended when it is to be undone.
      const mayGrant = clock.monotonic() < until - UNDO_MS
      await Promise.allSettled(instances.map(({ address }) => renewOne(target, address, grant, mayGrant, signal)))
    }
    await within(Math.ceil(grant.lease_ms / 3), round, over)
  }
}

async function renewOne(
  target: AppClient,
  address: string,
  grant: Grant,
  mayGrant: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    await target.renew(address, grant, signal)
  } catch (error) {
    // New since the last round, or we came too late: both get it (again).
    if (!mayGrant || !(error instanceof SaidNoError) || error.code !== 'unknown') throw error
    await target.grant(address, grant, signal)
  }
}
