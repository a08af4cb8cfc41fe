/**
 * Keeps a fault alive for as long as it is held: renews its lease on every instance, and grants it to those that have come
 * since. An instance that had it and has it no longer is a loss, which is told at once.
 */
import type { Clock } from '../../core/clock.ts'
import { formatDuration } from '../../core/duration.ts'
import { messageOf } from '../../core/errors.ts'
import { UNDO_MS } from '../../core/skill.ts'
import type { Holdable } from '../../core/skill.ts'
import { within } from '../../core/within.ts'
import type { Grant } from '../../faults/connect/protocol.ts'
import { SaidNoError } from './client.ts'
import type { AppClient, Seen } from './client.ts'
import { hasEnded, nameOf } from './fate.ts'
import type { Remembered } from './fate.ts'
import { endEverywhere } from './ownership.ts'
import type { Given } from './ownership.ts'

/** How long the end of a fault may take; what does not answer by then runs out by itself. */
const END_MS = 4_000
/** Between two renewals: a loss is told so soon, however long a lease lasts. */
const LONGEST_PAUSE_MS = 1_000

export interface Held {
  grant: Grant
  given: Given
  /** Those that have it; the loss of one of them is a loss. */
  instances: readonly Remembered[]
  heldMs: number
}

export function keepRenewed(target: AppClient, held: Held, clock: Clock): Holdable {
  const over = new AbortController()
  let lose: (why: string) => void = () => undefined
  const lost = new Promise<string>((resolve) => (lose = resolve))
  const renewing = new Renewal(target, held, clock).untilLost(over.signal).then(
    (why) => {
      if (!over.signal.aborted) lose(why)
    },
    () => undefined,
  )
  return {
    lost,
    stopRenewing: () => over.abort(),
    async close() {
      over.abort()
      await renewing
      await within(END_MS, (soon) => endEverywhere(target, held.given, soon)).catch(() => undefined)
    },
  }
}

class Renewal {
  readonly #target: AppClient
  readonly #held: Held
  readonly #clock: Clock
  /** By instance, when what renewed its lease last was sent: it lasts for so long after that at least. */
  readonly #renewed: Map<string, number>
  /** Those that came later and have had it: what is lost there is not granted again, either. */
  readonly #granted = new Set<string>()
  readonly #until: number

  constructor(target: AppClient, held: Held, clock: Clock) {
    this.#target = target
    this.#held = held
    this.#clock = clock
    const now = clock.monotonic()
    this.#renewed = new Map(held.instances.map(({ instance }) => [instance, now]))
    this.#until = now + held.heldMs
  }

  /** Resolves with why it is not in effect any more; rejects when it is over. */
  async untilLost(over: AbortSignal): Promise<string> {
    const pause = Math.min(this.#held.grant.lease_ms / 3, LONGEST_PAUSE_MS)
    for (;;) {
      await this.#clock.sleep(pause, over)
      // One that does not answer must not cost the others their renewal.
      const why = await within(Math.ceil(this.#held.grant.lease_ms / 3), (signal) => this.#round(signal, over), over)
      if (why !== undefined) return why
      if (this.#clock.monotonic() >= this.#until) return 'it was held for as long as it may be'
    }
  }

  async #round(signal: AbortSignal, over: AbortSignal): Promise<string | undefined> {
    const seen = await this.#target.look(signal).catch(() => undefined)
    over.throwIfAborted()
    const [first] = (await Promise.all(this.#held.instances.map((one) => this.#lossOf(one, seen, signal)))).flatMap(
      (why) => why ?? [],
    )
    over.throwIfAborted()
    if (first !== undefined) return first
    await this.#grantToNew(seen?.instances ?? [], signal, over)
    return undefined
  }

  /** Undefined while it has its fault, or may have it: what does not answer has it until its lease has run out. */
  async #lossOf(one: Remembered, seen: Seen | undefined, signal: AbortSignal): Promise<string | undefined> {
    const { grant } = this.#held
    const name = nameOf(this.#target.app, one)
    const sent = this.#clock.monotonic()
    const there = seen?.instances.find(({ hello }) => hello.instance === one.instance)
    let silence = seen?.silences.find(({ address }) => address === one.address)?.message
    if (there) {
      try {
        await this.#target.renew(there.address, grant, signal)
        this.#renewed.set(one.instance, sent)
        return undefined
      } catch (error) {
        if (error instanceof SaidNoError && error.code === 'unknown') return `${name} has ended it: ${error.message}`
        silence = messageOf(error)
      }
    } else if (seen && (await hasEnded(one, seen))) return `${name} has ended, and its faults with it`
    if (this.#clock.monotonic() - (this.#renewed.get(one.instance) ?? 0) <= grant.lease_ms) return undefined
    const why = silence === undefined ? '' : ` (${silence})`
    return `${name} cannot be asked${why}, and its lease of ${formatDuration(grant.lease_ms)} has run out`
  }

  /** A process that was frozen meanwhile must not bring back what has ended when it is to be undone. */
  async #grantToNew(instances: Seen['instances'], signal: AbortSignal, over: AbortSignal): Promise<void> {
    const isNew = instances.filter(({ hello }) => !this.#renewed.has(hello.instance))
    await Promise.allSettled(
      isNew.map(async ({ address, hello: { instance } }) => {
        try {
          await this.#target.renew(address, this.#held.grant, signal)
        } catch (error) {
          over.throwIfAborted()
          const mayGrant = !this.#granted.has(instance) && this.#clock.monotonic() < this.#until - UNDO_MS
          if (!mayGrant || !(error instanceof SaidNoError) || error.code !== 'unknown') throw error
          await this.#target.grant(address, this.#held.grant, signal)
        }
        this.#granted.add(instance)
      }),
    )
  }
}
