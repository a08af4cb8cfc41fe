/** Claims: which run may touch what. */

export type Taken = { granted: true } | { granted: false; by: string; key: string }

/** Held for all workers of a supervisor; who holds them for several supervisors is another implementation. */
export interface Claims {
  /** Takes all keys or none; the run that is in the way otherwise. */
  take(run: string, keys: readonly string[]): Promise<Taken>
  /** Resolves when none of the keys is held by another run any more (`released`), or the run itself was released (`gone`). */
  wait(run: string, keys: readonly string[]): Promise<'released' | 'gone'>
  /** Gives back everything that the run holds or waits for. */
  release(run: string): Promise<void>
}

interface Waiter {
  run: string
  keys: readonly string[]
  resolve(result: 'released' | 'gone'): void
}

/** Of one process. */
export class LocalClaims implements Claims {
  readonly #holders = new Map<string, string>()
  #waiters: Waiter[] = []

  take(run: string, keys: readonly string[]): Promise<Taken> {
    const key = this.#heldByOther(run, keys)
    const by = key === undefined ? undefined : this.#holders.get(key)
    if (key !== undefined && by !== undefined) return Promise.resolve({ granted: false, by, key })
    for (const one of keys) this.#holders.set(one, run)
    return Promise.resolve({ granted: true })
  }

  wait(run: string, keys: readonly string[]): Promise<'released' | 'gone'> {
    // It may have been released since the keys were refused.
    if (this.#heldByOther(run, keys) === undefined) return Promise.resolve('released')
    return new Promise((resolve) => {
      this.#waiters.push({ run, keys, resolve })
    })
  }

  release(run: string): Promise<void> {
    for (const [key, holder] of this.#holders) if (holder === run) this.#holders.delete(key)
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      if (waiter.run === run) waiter.resolve('gone')
      else if (this.#heldByOther(waiter.run, waiter.keys) !== undefined) this.#waiters.push(waiter)
      else waiter.resolve('released')
    }
    return Promise.resolve()
  }

  /** The first key that another run holds. */
  #heldByOther(run: string, keys: readonly string[]): string | undefined {
    return keys.find((key) => (this.#holders.get(key) ?? run) !== run)
  }
}
