/** Turns: `max_concurrent` runs at once; what is due meanwhile waits its turn in a bounded queue. */

export class TurnsFullError extends Error {}

/** Gives the turn back; more than once is the same as once. */
export type Turn = () => void

/** Of one daemon; who hands out turns for several of them is another implementation. */
export interface Turns {
  /** One that is free now; undefined where all are taken. */
  take(): Promise<Turn | undefined>
  /** Waits for one. Rejects with TurnsFullError when the queue is full, or with the signal's reason. */
  wait(signal: AbortSignal): Promise<Turn>
  /** Fewer turns end nobody: they go as they are given back. */
  resize(max: number): void
}

const QUEUE_LIMIT = 16

/** Of one process. */
export class LocalTurns implements Turns {
  #max: number
  readonly #queueLimit: number
  #used = 0
  #queue: (() => void)[] = []

  constructor(max: number, queueLimit = QUEUE_LIMIT) {
    this.#max = max
    this.#queueLimit = queueLimit
  }

  take(): Promise<Turn | undefined> {
    return Promise.resolve(this.#takeFree())
  }

  async wait(signal: AbortSignal): Promise<Turn> {
    // Looking and queueing are one: a turn that is given back in between would wake nobody.
    const free = this.#takeFree()
    if (free) return free
    if (this.#queue.length >= this.#queueLimit)
      throw new TurnsFullError(`all ${this.#max} slots are taken and ${this.#queueLimit} runs wait already`)
    await this.#enqueue(signal)
    return this.#turn()
  }

  resize(max: number): void {
    this.#max = max
    while (this.#used < this.#max) {
      const next = this.#queue.shift()
      if (!next) return
      this.#used += 1
      next()
    }
  }

  #takeFree(): Turn | undefined {
    if (this.#used >= this.#max) return undefined
    this.#used += 1
    return this.#turn()
  }

  /** A turn is handed over from the run that gives it back: `#used` stays. */
  #turn(): Turn {
    let given = false
    return () => {
      if (given) return
      given = true
      const next = this.#used <= this.#max ? this.#queue.shift() : undefined
      if (next) next()
      else this.#used -= 1
    }
  }

  #enqueue(signal: AbortSignal): Promise<void> {
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
