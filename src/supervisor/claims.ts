/** Claims: which run may touch what. Held by the supervisor, for all its workers. */

interface Waiter {
  run: string
  keys: string[]
  resolve(result: 'released' | 'gone'): void
}

export class Claims {
  readonly #holders = new Map<string, string>()
  #waiters: Waiter[] = []

  /** Takes all keys or none; the run that is in the way otherwise. */
  take(run: string, keys: readonly string[]): { granted: true } | { granted: false; by: string; key: string } {
    for (const key of keys) {
      const by = this.#holders.get(key)
      if (by !== undefined && by !== run) return { granted: false, by, key }
    }
    for (const key of keys) this.#holders.set(key, run)
    return { granted: true }
  }

  /** Resolves when none of the keys is held by another run any more (`released`), or the run itself was released (`gone`). */
  wait(run: string, keys: string[]): Promise<'released' | 'gone'> {
    return new Promise((resolve) => {
      this.#waiters.push({ run, keys, resolve })
    })
  }

  release(run: string): void {
    for (const [key, holder] of this.#holders) if (holder === run) this.#holders.delete(key)
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) {
      const blocked = waiter.keys.some((key) => (this.#holders.get(key) ?? waiter.run) !== waiter.run)
      if (waiter.run === run) waiter.resolve('gone')
      else if (blocked) this.#waiters.push(waiter)
      else waiter.resolve('released')
    }
  }
}
