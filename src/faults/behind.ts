/** Faults behind the call (`after: true`): the work is done, and its answer comes late or not at all. */
import type { Action, Alter } from './action.ts'
import { isAsyncIterable } from './streams.ts'
import type { Waits } from './waits.ts'

/** The same wait and error, as something that is done to the answer. What fails by itself stays as it is. */
export function behindTheCall({ wait_ms: ms = 0, error, ...rest }: Action, waits: Waits): Action {
  const raise = (answer: unknown): void => {
    if (error === undefined) return
    discard(answer)
    throw error // eslint-disable-line @typescript-eslint/only-throw-error -- what `error()` of a fault makes is raised as it is
  }
  const later = async (answer: unknown, signal?: AbortSignal): Promise<unknown> => {
    const over = !waits.closed && (ms === 0 || (await waits.sleep(ms, signal)))
    if (over) raise(answer)
    return answer
  }
  const alter: Alter = {
    behind: true,
    value(answer, { isSync = false, signal } = {}) {
      if (!isSync) return later(answer, signal)
      if (waits.closed) return answer
      if (!waits.block(ms)) return answer
      raise(answer)
      return answer
    },
    stream: {
      async end(signal) {
        await later(undefined, signal)
      },
      endSync() {
        if (waits.closed) return
        if (!waits.block(ms)) return
        raise(undefined)
      },
    },
  }
  return { ...rest, alter, lost: error }
}

/** Nobody will read it: what holds a connection open must not. */
function discard(answer: unknown): void {
  if (typeof answer !== 'object' || answer === null) return
  const body: unknown = 'body' in answer ? answer.body : answer
  if (typeof ReadableStream !== 'undefined' && body instanceof ReadableStream && !body.locked)
    void body.cancel().catch(() => undefined)
  else if (isAsyncIterable(body) && 'destroy' in body && typeof body.destroy === 'function')
    (body as { destroy(): void }).destroy()
}
