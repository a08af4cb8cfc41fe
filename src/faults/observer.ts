/** Collects what was seen during an experiment, in order. */

export interface Observation {
  /** ISO 8601. */
  timestamp: string
  component: string
  event: string
  details: Record<string, unknown>
}

export interface ObserverOptions {
  /** Observations kept; later ones are only counted. Default 10,000: an experiment may see millions of calls. */
  most?: number
  now?: () => number
}

export class ExperimentObserver {
  /** Observations that were not kept. */
  dropped = 0
  readonly #kept: Observation[] = []
  readonly #most: number
  readonly #now: () => number

  constructor({ most = 10_000, now = Date.now }: ObserverOptions = {}) {
    this.#most = most
    this.#now = now
  }

  observe(component: string, event: string, details: Record<string, unknown> = {}): void {
    if (this.#kept.length >= this.#most) {
      this.dropped++
      return
    }
    this.#kept.push({ timestamp: new Date(this.#now()).toISOString(), component, event, details: { ...details } })
  }

  /** Runs `work` between `<operation>_start` and `<operation>_end`; the latter has duration_ms and, if it failed, the error. */
  scope<T>(component: string, operation: string, work: () => T): T {
    this.observe(component, `${operation}_start`)
    const begun = performance.now()
    const end = (error?: unknown) => {
      const duration_ms = Math.round((performance.now() - begun) * 1000) / 1000
      const failed = error === undefined ? {} : { error: error instanceof Error ? error.message : 'not an Error' }
      this.observe(component, `${operation}_end`, { duration_ms, ...failed })
    }
    let result: T
    try {
      result = work()
    } catch (error) {
      end(error)
      throw error
    }
    if (!(result instanceof Promise)) {
      end()
      return result
    }
    return result.then(
      (value: unknown) => {
        end()
        return value
      },
      (error: unknown) => {
        end(error ?? 'rejected')
        throw error
      },
    ) as T
  }

  /** All so far, oldest first: a list of its own, which does not grow. */
  getObservations(): Observation[] {
    return [...this.#kept]
  }
}
