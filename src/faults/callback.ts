/** Functions that answer by a callback `(error, ...answer)`, the last function among their arguments: faults take the same way. */
import type { Plan } from './plan.ts'

type Callback = (this: unknown, ...args: unknown[]) => unknown

/** Undefined where there is no callback: then the function answers in another way, as many that have a promise, too. */
export function callWithCallback(
  plan: Plan,
  fn: (this: unknown, ...args: readonly unknown[]) => unknown,
  self: unknown,
  args: readonly unknown[],
  change: (answer: unknown) => unknown,
  signal: AbortSignal | undefined,
): { returned: unknown } | undefined {
  const at = args.findLastIndex((arg) => typeof arg === 'function')
  if (at === -1) return undefined
  const callback = args[at] as Callback
  let answered = false
  const answer = function (this: unknown, error: unknown, ...values: unknown[]): unknown {
    if (answered) return callback.call(this, error, ...values)
    answered = true
    plan.release()
    const failed = error !== null && error !== undefined
    if (failed || !plan.alters) return callback.call(this, error, ...values)
    void changed(change, values).then((settle) => queueMicrotask(() => callback.apply(this, settle(error))))
    return undefined
  }
  const call = (): unknown => fn.call(self, ...args.slice(0, at), answer, ...args.slice(at + 1))
  const refuse = (error: unknown): void =>
    queueMicrotask(() => {
      if (answered) return
      answered = true
      plan.release()
      callback.call(undefined, error)
    })
  if (!plan.waits && !plan.raises) return { returned: call() }
  // Apart from the promise: what a callback throws is the application's, as it would be without us.
  void plan.before(signal).then(() => queueMicrotask(() => attempt(call, refuse)), refuse)
  return { returned: undefined }
}

/** It is called late: whoever called it cannot catch what it throws. */
function attempt(call: () => unknown, refuse: (error: unknown) => void): void {
  try {
    call()
  } catch (error) {
    refuse(error)
  }
}

async function changed(
  change: (answer: unknown) => unknown,
  [first, ...more]: unknown[],
): Promise<(error: unknown) => [unknown, ...unknown[]]> {
  try {
    const other = await change(first)
    return (none) => [none, other, ...more]
  } catch (error) {
    return () => [error]
  }
}
