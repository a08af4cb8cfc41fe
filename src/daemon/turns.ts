/** `max_concurrent`: so many runs at once; what is due meanwhile waits its turn in a bounded queue. */

export class SlotsFullError extends Error {}

export class Slots {
  #max: number
  readonly #queueLimit: number
  #used = 0
  #queue: (() => void)[] = []

  constructor(max: number, queueLimit: number) {
    this.#max = max
    this.#queueLimit = queueLimit
  }

  get free(): boolean {
    return this.#used < this.#max
  }

  /** Resolves with the function that gives the slot back. Rejects when the queue is full, or with the signal's reason. */
  async take(signal: AbortSignal): Promise<() => void> {
    if (!this.free) {
      if (this.#queue.length >= this.#queueLimit)
        throw new SlotsFullError(`all ${this.#max} slots are taken and ${this.#queueLimit} runs wait already`)
      await this.#wait(signal)
    } else this.#used += 1
    let given = false
    return () => {
      if (given) return
      given = true
      const next = this.#used <= this.#max ? this.#queue.shift() : undefined
      if (next) next()
      else this.#used -= 1
    }
  }

  /** Fewer slots end nobody: they go as they are given back. */
  resize(max: number): void {
    this.#max = max
    while (this.free) {
      const next = this.#queue.shift()
      if (!next) return
      this.#used += 1
      next()
    }
  }

  /** A slot is handed over from the run that gives it back: `#used` stays. */
  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#queue = this.#queue.filter((entry) => entry !== go)
        reject(signal.reason as Error)
      }
      const go = (): void => {
        signal.removeEventListener('abort', stop)
        resolve()
      }
      if (signal.aborted) {
        reject(signal.reason as Error)
        return
      }
      signal.addEventListener('abort', stop, { once: true })
      this.#queue.push(go)
    })
  }
}
