/** One at a time per key; several keys are taken together, always in the same order, so that nobody waits in a circle. */

export class KeyedMutex {
  readonly #tails = new Map<string, Promise<void>>()

  async run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const releases: (() => void)[] = []
    try {
      for (const key of [...new Set(keys)].sort()) releases.push(await this.#take(key))
      return await work()
    } finally {
      for (const release of releases) release()
    }
  }

  async #take(key: string): Promise<() => void> {
    const before = this.#tails.get(key)
    let release = (): void => undefined
    const mine = new Promise<void>((resolve) => (release = resolve))
    this.#tails.set(key, mine)
    await before
    return () => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
      release()
    }
  }
}
