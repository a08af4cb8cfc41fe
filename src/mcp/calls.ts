/** Requests of the client that are not answered yet, by their ids: where an answer goes, and what is said when none can come. */
import type { Answer } from './tool-faults.ts'
import type { Id } from './message.ts'

interface Open {
  id: Id
  /** Ends an injected wait. Undefined for requests that no fault can meet. */
  abort: AbortController | undefined
  /** The call has been given to the server; its answer goes here. */
  answered?: (answer: Answer) => Promise<void>
}

export class OpenCalls {
  readonly #open = new Map<Id, Open>()

  /** A request that only passes. */
  pass(id: Id): void {
    this.#open.set(id, { id, abort: undefined })
  }

  /** A call that faults may meet; the signal aborts when it is cancelled. */
  begin(id: Id): AbortSignal {
    const abort = new AbortController()
    this.#open.set(id, { id, abort })
    return abort.signal
  }

  /** The call goes to the server now; `delivered` is awaited by whoever brings the answer. */
  sent(id: Id, delivered: () => Promise<unknown>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = this.#open.get(id)
      if (call === undefined) return
      call.abort?.signal.addEventListener('abort', () => reject(call.abort?.signal.reason as Error))
      call.answered = async (answer) => {
        resolve(answer)
        await delivered()
      }
    })
  }

  /** Gives the answer to its call, and resolves when the client has it; undefined where no call of ours waits for it. */
  answer(id: Id, answer: Answer): Promise<void> | undefined {
    const call = this.#open.get(id)
    this.#open.delete(id)
    return call?.answered?.(answer)
  }

  /** True when the server has never heard of this call, and need not hear of its end. */
  cancel(id: Id): boolean {
    const call = this.#open.get(id)
    if (call?.abort === undefined) return false
    this.#open.delete(id)
    call.abort.abort()
    return call.answered === undefined
  }

  done(id: Id): void {
    this.#open.delete(id)
  }

  /** Ends the calls that the server has not been given yet. */
  endWaits(): void {
    for (const { id, abort, answered } of [...this.#open.values()])
      if (abort !== undefined && answered === undefined) this.cancel(id)
  }

  /** Ends every wait; the ids that nobody has answered. */
  end(): Id[] {
    const left = [...this.#open.values()]
    this.#open.clear()
    for (const { abort } of left) abort?.abort()
    return left.map(({ id }) => id)
  }
}
