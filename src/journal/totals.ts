/** How much a journal was written, and how long its writer waited for the disk. */
import type { JournalTotals } from '../core/events.ts'

export class JournalMeter {
  readonly #totals: JournalTotals = { appends: 0, syncs: 0, sync_ms: 0, slowest_sync_ms: 0 }

  get totals(): JournalTotals {
    return { ...this.#totals }
  }

  /** Of one append; the time of those that must be durable is what a run loses to the disk. */
  async measure(appending: Promise<void>, durable: boolean): Promise<void> {
    this.#totals.appends += 1
    const begun = performance.now()
    await appending
    if (!durable) return
    const ms = performance.now() - begun
    this.#totals.syncs += 1
    this.#totals.sync_ms += ms
    this.#totals.slowest_sync_ms = Math.max(this.#totals.slowest_sync_ms, ms)
  }
}
