/** What waits to be delivered to one receiver: in order, bounded, each tried again for about ten minutes. */
import type { Clock } from '../core/clock.ts'
import { counted } from '../core/counted.ts'
import { messageOf } from '../core/errors.ts'
import type { Notification } from '../core/notify.ts'
import { atMost } from '../core/within.ts'
import type { Attempt, Deliver } from './delivery.ts'

export interface OutboxOptions {
  deliver: Deliver
  clock: Clock
  /** From 0 to 1, so that many receivers' retries do not come in step. */
  random(): number
  /** Somebody should know that a notification was not delivered. */
  lost(notification: Notification, reason: string): void
}

export interface Counts {
  delivered: number
  /** Given up: the receiver did not want it, or did not take it in all attempts. */
  failed: number
  /** Not tried to the end: too many waited, or the program ended. */
  dropped: number
  waiting: number
}

const LIMIT = 200
const ATTEMPTS = 8
/** Doubled after each attempt: 5, 10, … 320 s make ten minutes of eight attempts. */
const FIRST_PAUSE_MS = 5_000
/** A receiver may ask for more patience than that, but not for any. */
const LONGEST_PAUSE_MS = 10 * 60_000

export class Outbox {
  readonly #options: OutboxOptions
  #queue: Notification[] = []
  #working: Promise<void> | undefined
  #current = 0
  readonly #closing = new AbortController()
  readonly #over = new AbortController()
  #delivered = 0
  #failed = 0
  #dropped = 0

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  get counts(): Counts {
    const waiting = this.#queue.length + this.#current
    return { delivered: this.#delivered, failed: this.#failed, dropped: this.#dropped, waiting }
  }

  /** Returns at once. */
  push(notification: Notification): void {
    if (this.#closing.signal.aborted) {
      this.#drop(notification, 'the program is ending')
      return
    }
    this.#queue.push(notification)
    if (this.#queue.length > LIMIT) {
      const least = Math.max(
        0,
        this.#queue.findIndex(({ kind }) => kind !== 'residue'),
      )
      for (const dropped of this.#queue.splice(least, 1)) this.#drop(dropped, `more than ${LIMIT} wait`)
    }
    this.#working ??= this.#work()
  }

  /** What waits gets one more attempt each, at once, for so long; the rest is dropped. Nothing is taken any more. */
  async close(deadlineMs: number): Promise<void> {
    const { clock } = this.#options
    this.#closing.abort()
    const working = this.#working ?? Promise.resolve()
    await atMost(
      { ms: deadlineMs, clock },
      () => working,
      () => this.#over.abort(new Error('the program is ending')),
    )
    await working
  }

  async #work(): Promise<void> {
    // Not within push(): who pushes does not wait for the first attempt to be put together.
    await Promise.resolve()
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      this.#current = 1
      await this.#handOver(next)
      this.#current = 0
    }
    this.#working = undefined
  }

  async #handOver(notification: Notification): Promise<void> {
    const { deliver } = this.#options
    for (let attempt = 1; ; attempt++) {
      if (this.#over.signal.aborted) {
        this.#drop(notification, 'the program is ending')
        return
      }
      const last = this.#closing.signal.aborted
      const result = await deliver(notification, this.#over.signal).catch(bug)
      if (result.delivered) {
        this.#delivered += 1
        return
      }
      if (result.final || attempt >= ATTEMPTS) {
        this.#failed += 1
        this.#options.lost(notification, `${result.reason}${result.final ? '' : `, ${counted(attempt, 'time')}`}`)
        return
      }
      if (last) {
        this.#drop(notification, `the program is ending: ${result.reason}`)
        return
      }
      await this.#pause(attempt, result)
    }
  }

  async #pause(attempt: number, { retryAfterMs = 0 }: Attempt & { delivered: false }): Promise<void> {
    const { clock, random } = this.#options
    const backOff = FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.75 + random() / 2)
    const ms = Math.min(Math.max(backOff, retryAfterMs), LONGEST_PAUSE_MS)
    await clock.sleep(ms, this.#closing.signal).catch(() => undefined)
  }

  #drop(notification: Notification, reason: string): void {
    this.#dropped += 1
    this.#options.lost(notification, reason)
  }
}

/** It should not throw; if it does, that is the delivery's failure and nobody else's. */
function bug(error: unknown): Attempt {
  return { delivered: false, final: false, reason: messageOf(error) }
}
