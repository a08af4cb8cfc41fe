/** Where the daemon is, as far as the demo waits for it. */
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Outcome } from '../../src/core/report.ts'

/** `recovered`: killed, and undone by a later process. */
type End = Outcome | 'recovered'

export class Watch {
  /** How many runs ended how. */
  readonly ends = new Map<End, number>()
  recovered = false
  readonly soaking = new Set<string>()
  /** Why waiting has no use any more, which is a failure unless somebody wanted it so. */
  over: { reason: string; wanted: boolean } | undefined
  #waiting: (() => void)[] = []

  see(event: ChaosEvent): void {
    if (event.type === 'run.phase') {
      if (event.phase === 'soak') this.soaking.add(event.run)
      else this.soaking.delete(event.run)
    }
    if (event.type === 'recovery.finished') this.recovered = event.pending === 0
    if (event.type === 'run.finished') {
      const end = event.report.recovered ? 'recovered' : event.report.outcome
      this.ends.set(end, this.count(end) + 1)
    }
    this.#look()
  }

  count(...ends: readonly End[]): number {
    return ends.reduce((sum, end) => sum + (this.ends.get(end) ?? 0), 0)
  }

  end(reason: string, { wanted = false } = {}): void {
    this.over ??= { reason, wanted }
    this.#look()
  }

  /** Resolves when it is so (looked at whenever something happens), or all is over, also because it took too long. */
  async until(what: string, condition: () => boolean, longestMs?: number): Promise<void> {
    const tooLong =
      longestMs === undefined ? undefined : setTimeout(() => this.end(`it took too long: ${what}`), longestMs)
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (condition() || this.over) resolve()
      }
      this.#waiting.push(look)
      look()
    })
    this.#waiting = []
    clearTimeout(tooLong)
  }

  #look(): void {
    for (const look of this.#waiting) look()
  }
}
