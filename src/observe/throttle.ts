/** The same about the same run is told once an hour: a retry every five minutes is not news. */
import type { Message } from './message.ts'

const HOUR_MS = 60 * 60_000
/** More than this many things at once are not kept apart. */
const LIMIT = 1_000

export class Throttle {
  readonly #told = new Map<string, { at: number; since: number }>()

  /** How often it happened since it was last told, this time included; undefined when it is not to be told now. */
  count(message: Message, now: number): number | undefined {
    if (message.kind === 'recovered' && message.run !== undefined) this.#forget(message.run)
    if (message.kind !== 'residue' && message.kind !== 'blocked') return 1
    const key = `${message.run ?? ''} ${message.kind} ${message.kind === 'blocked' ? (message.experiment ?? '') : ''}`
    const told = this.#told.get(key)
    if (told && now >= told.at && now - told.at < HOUR_MS) {
      told.since += 1
      return undefined
    }
    this.#told.delete(key)
    this.#told.set(key, { at: now, since: 0 })
    for (const oldest of this.#told.keys()) {
      if (this.#told.size <= LIMIT) break
      this.#told.delete(oldest)
    }
    return 1 + (told?.since ?? 0)
  }

  /** It is over: if it comes again, that is news. */
  #forget(run: string): void {
    for (const key of this.#told.keys()) if (key.startsWith(`${run} `)) this.#told.delete(key)
  }
}
