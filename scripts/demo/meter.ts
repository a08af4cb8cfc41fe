/** How long the application's statements take, quiet and with chaos in place: what chaos is for. */

export interface Summary {
  count: number
  /** Milliseconds. */
  median: number
  slowest: number
}

/** More than hours of it would only be memory. */
const MOST_SAMPLES = 20_000

export class Meter {
  total = 0
  /** What failed, by message. */
  readonly failures = new Map<string, number>()
  #samples: { ended: number; ms: number; quiet: boolean }[] = []
  #chaos = 0
  #lastChaos = -Infinity
  readonly #waiting = new Map<string, number>()

  /** Runs one piece of work of a session and takes its time; what it throws is counted and stays here. */
  async time(session: string, work: () => Promise<void>): Promise<void> {
    const began = performance.now()
    this.#waiting.set(session, began)
    try {
      await work()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.failures.set(message, (this.failures.get(message) ?? 0) + 1)
    } finally {
      this.#waiting.delete(session)
      const ended = performance.now()
      this.total += 1
      this.#samples.push({ ended, ms: ended - began, quiet: this.#chaos === 0 && this.#lastChaos < began })
      if (this.#samples.length > MOST_SAMPLES) this.#samples = this.#samples.slice(MOST_SAMPLES / 2)
    }
  }

  /** Chaos is in place from now until the function it returns is called. */
  chaosBegins(): () => void {
    this.#chaos += 1
    return () => {
      this.#chaos -= 1
      this.#lastChaos = performance.now()
    }
  }

  /** While no chaos was in place. */
  quiet(): Summary {
    return summarised(this.#samples.filter((s) => s.quiet).map((s) => s.ms))
  }

  /** Whatever ended after that moment of `performance.now()`. */
  since(moment: number): Summary {
    return summarised(this.#samples.filter((s) => s.ended >= moment).map((s) => s.ms))
  }

  /** How long each session's current work has taken so far, longest first; milliseconds. */
  waiting(): { session: string; ms: number }[] {
    const now = performance.now()
    const all = [...this.#waiting].map(([session, began]) => ({ session, ms: now - began }))
    return all.sort((a, b) => b.ms - a.ms)
  }
}

function summarised(ms: number[]): Summary {
  const sorted = ms.sort((a, b) => a - b)
  return { count: sorted.length, median: sorted[Math.floor(sorted.length / 2)] ?? 0, slowest: sorted.at(-1) ?? 0 }
}
