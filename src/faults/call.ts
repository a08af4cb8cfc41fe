/** Carries a plan out around one call, in the way that fits the function: promises are awaited, generators stay lazy. */
import { callWithCallback } from './callback.ts'
import type { Plan, Site } from './plan.ts'
import { isPlainlySync, speaksOfPromises } from './likely.ts'
import { isAsyncIterable, reshape, reshapeSync } from './streams.ts'
import { answerLater, failedLike, hiddenThen, isPlainPromise, isThenable } from './thenables.ts'
import type { Fault } from './fault.ts'
import { isForStreams, warnOfUnchanged } from './unmet.ts'
import type { Decision } from './rule.ts'

/**
 * `unknown`: a plain function that has not been called yet; what it returns tells. `thenable`: one whose answers have a
 * `then` and more besides. `stream`: one that returns streams.
 */
export type CallKind = 'sync' | 'async' | 'thenable' | 'stream' | 'generator' | 'async_generator' | 'unknown'

/** A site whose kind is learnt from its answers. */
export interface CallSite extends Site {
  kind: CallKind
  /** How many answers will still be looked at. */
  looks: number
  /** The function, whose text is looked at where no answer has been seen. */
  readonly fn: object
  /** The prototype of an answer that was a thenable. */
  like: object | undefined
  /** It answers by a callback. */
  readonly callback: boolean
}

/** A function that answers so often without a promise never returns one. */
export const LOOKS = 100

export type BareFunction = (this: unknown, ...args: readonly unknown[]) => unknown

/** One call that cannot simply be made: it has a plan, or its site must learn. An AbortSignal among the arguments ends a wait. */
export function callWithFaults(
  site: CallSite,
  plan: Plan | undefined,
  fn: BareFunction,
  self: unknown,
  args: readonly unknown[],
): unknown {
  if (plan === undefined) return learnt(site, fn.call(self, ...args))
  if (site.callback || plan.callback) {
    const change = (answer: unknown): unknown => alteredAnswer(plan, answer)
    const done = callWithCallback(plan, fn, self, args, change, signalIn(args))
    if (done) return done.returned
  }
  const call = (): unknown => fn.call(self, ...args)
  switch (site.kind) {
    case 'generator':
      return generate(plan, call)
    case 'async_generator':
      return aroundAnswer(plan, call(), args)
    case 'async':
      return plan.isPassive ? aroundAnswer(plan, called(plan, call), args) : callAsync(plan, call, signalIn(args))
    default:
      return callPlain(site, plan, call, args)
  }
}

/** A plain function shows with its answer how it must be treated. It is called once, or not at all where a fault raises. */
function callPlain(site: CallSite, plan: Plan, call: () => unknown, args: readonly unknown[]): unknown {
  // A stream fails as a stream does.
  if (!plan.raises || site.kind === 'stream') return aroundAnswer(plan, learnt(site, called(plan, call)), args)
  if (!mayReturnPromise(site)) return callSync(plan, call)
  const failure = callAsync(plan, call, signalIn(args)) as Promise<never>
  if (site.kind === 'thenable') return failedLike(failure, site.like ?? null)
  // Nobody may be listening, where the function was a synchronous one after all.
  failure.catch(() => undefined)
  return failedLike(failure, null)
}

/** In doubt yes: a rejection can be handled, but what is thrown out of a function that returns promises can end the process. */
function mayReturnPromise({ kind, looks, fn }: CallSite): boolean {
  if (kind === 'thenable') return true
  if (kind === 'unknown') return !isPlainlySync(fn)
  return looks > 0 && speaksOfPromises(fn)
}

function called(plan: Plan, call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    plan.release()
    throw error
  }
}

/** What the plan does to an answer that is there: as the kind of thing that it is. */
function aroundAnswer(plan: Plan, answer: unknown, args: readonly unknown[]): unknown {
  if (isPlainPromise(answer)) return plan.isPassive ? watched(plan, answer) : aroundPromise(plan, answer, args)
  if (plan.isPassive && !plan.releases && (isThenable(answer) || isAsyncIterable(answer))) return answer
  const signal = signalIn(args)
  let gate: Promise<void> | undefined
  const before = (): Promise<void> => (gate ??= plan.before(signal))
  const around = {
    before,
    after: (value: unknown) => alteredAnswer(plan, value),
    ended: once(() => plan.release()),
    carried: (result: unknown) => carried(result, before),
  }
  if (isThenable(answer)) return releasedUnasked(plan, answerLater(answer, around), around.ended)
  if (isAsyncIterable(answer)) {
    const altered = plan.alterations.reduce<unknown>(
      (one, d) => alterOne(one, d, { signal }),
      answer,
    ) as AsyncIterable<unknown>
    return plan.waits || plan.raises || plan.releases ? reshape(altered, around) : altered
  }
  const then = hiddenThen(answer)
  if (then) return releasedUnasked(plan, answerLater(answer as object, around, then), around.ended)
  return callSync(plan, () => answer)
}

/** It may reject while we wait: then we are its only listener, and hand its error on later. */
function aroundPromise(plan: Plan, answer: Promise<unknown>, args: readonly unknown[]): Promise<unknown> {
  answer.catch(() => undefined)
  return callAsync(plan, () => answer, signalIn(args))
}

/** The very same promise, which is only looked on. */
function watched(plan: Plan, answer: Promise<unknown>): Promise<unknown> {
  const end = (): void => plan.release()
  answer
    .then(
      (value) => void alteredAnswer(plan, value),
      () => undefined,
    )
    .then(end, end)
  return answer
}

/** A query that nobody has begun holds no slot. */
function releasedUnasked<T>(plan: Plan, answer: T, ended: () => void): T {
  if (plan.releases) setTimeout(ended, 0)
  return answer
}

/** What else an object gives that is late: its other promises and streams are late, too. */
function carried(result: unknown, before: () => Promise<void>): unknown {
  if (Array.isArray(result) && result.length > 0 && result.every(isAsyncIterable))
    return result.map((one) => carried(one, before))
  if (isPlainPromise(result)) {
    result.catch(() => undefined)
    return before().then(() => result)
  }
  const around = { before, after: (value: unknown) => value, ended: () => undefined }
  if (isThenable(result)) return answerLater(result, { ...around, carried: (more) => carried(more, before) })
  return isAsyncIterable(result) ? reshape(result, around) : result
}

function once(work: () => void): () => void {
  let done = false
  return () => {
    if (!done) work()
    done = true
  }
}

/** One fault that changes an answer, as an adapter sees it that knows where in the answer the data is. */
export interface Change {
  readonly fault: Fault
  /** The wrong data in place of the right; the very same where it cannot be made wrong. Once for each answer. */
  value(data: unknown): unknown
  /** The same for data that comes as a stream. */
  stream(items: AsyncIterable<unknown>, how?: StreamHow): AsyncIterable<unknown>
}

export interface StreamHow {
  /** Ends a stall: nobody reads any more. */
  signal?: AbortSignal | undefined
  /** How this kind of stream says that it has broken off. */
  asError?: ((error: unknown) => unknown) | undefined
}

/** Carries a change out inside an answer; gives the very same answer back when nothing has changed. */
export type Inside<T> = (answer: T, change: Change) => T | Promise<T>

/** For callers that know that the call is asynchronous, and its signal: adapters. */
export async function callAsync<T>(
  plan: Plan,
  call: () => T,
  signal?: AbortSignal,
  inside?: Inside<Awaited<T>>,
): Promise<Awaited<T>> {
  try {
    await plan.before(signal)
    const answer = await call()
    if (inside === undefined) return (await alteredAnswer(plan, answer, { signal })) as Awaited<T>
    let altered = answer
    for (const decision of plan.alterations) {
      const change = changeOf(decision, { signal })
      const isBehind = decision.action.alter?.behind === true
      const before = altered
      altered = await (isBehind ? (change.value(before) as Awaited<T>) : inside(before, change))
      if (plan.chaos && Object.is(altered, before) && isForStreams(decision.rule.fault))
        warnOfUnchanged(plan.chaos, decision, before)
    }
    return altered
  } finally {
    plan.release()
  }
}

function callSync(plan: Plan, call: () => unknown): unknown {
  try {
    plan.beforeSync()
    return alteredAnswer(plan, call(), { isSync: true })
  } finally {
    plan.release()
  }
}

/** Looks at an answer, and gives it back. Its `then` is not touched. */
export function learnt(site: CallSite, answer: unknown): unknown {
  if (isPlainPromise(answer)) know(site, 'async')
  else if (isThenable(answer)) {
    know(site, 'thenable')
    site.like = (Object.getPrototypeOf(answer) as object | null) ?? undefined
  } else if (isAsyncIterable(answer)) know(site, 'stream')
  else if (site.looks > 0) {
    site.looks--
    if (site.kind === 'unknown') know(site, 'sync')
  }
  return answer
}

function know(site: CallSite, kind: 'sync' | 'async' | 'thenable' | 'stream'): void {
  if (site.kind === kind || site.kind === 'generator' || site.kind === 'async_generator') return
  // One promise among other answers is enough.
  site.kind = kind
  if (kind === 'sync') site.component.isSync = true
  else site.looks = 0
}

/** Its body runs at the first next(), and so do the faults. */
function generate(plan: Plan, call: () => unknown): unknown {
  const altered = plan.alterations.reduce<Iterator<unknown, unknown>>(
    (items, d) => reshapeSync(items, { alter: d.action.alter?.stream, altered: () => d.fired() }),
    lazily(call),
  )
  return reshapeSync(altered, { before: () => plan.beforeSync(), ended: () => plan.release() })
}

function* lazily(call: () => unknown): Generator<unknown, unknown> {
  return yield* call() as Generator<unknown, unknown>
}

/** The answer after everything that changes it. */
function alteredAnswer(plan: Plan, answer: unknown, how: How = {}): unknown {
  if (!plan.alters) return answer
  const alter = (one: unknown, decision: Decision): unknown => {
    const other = alterOne(one, decision, how)
    if (plan.chaos && Object.is(other, one) && !isAsyncIterable(one)) warnOfUnchanged(plan.chaos, decision, one)
    return other
  }
  return plan.alterations.reduce((altered, decision) => {
    // A fault behind the call may wait.
    if (altered !== answer && isPlainPromise(altered)) return altered.then((value) => alter(value, decision))
    return alter(altered, decision)
  }, answer)
}

/** Whether the caller can wait, and what ends its wait. */
interface How {
  isSync?: boolean
  signal?: AbortSignal | undefined
}

function alterOne(answer: unknown, decision: Decision, how?: How): unknown {
  const change = changeOf(decision, how)
  return isAsyncIterable(answer) ? change.stream(answer) : change.value(answer)
}

function changeOf(decision: Decision, how: How = {}): Change {
  const { alter } = decision.action
  return {
    fault: decision.rule.fault,
    value(data) {
      if (alter?.behind) decision.fired()
      const other = alter === undefined ? data : alter.value(data, how)
      if (!Object.is(other, data)) decision.fired()
      return other
    },
    stream(items, { signal, asError } = {}) {
      if (!alter?.stream) return items
      const signals = [how.signal, signal].filter((one) => one !== undefined)
      return reshape(items, { alter: alter.stream, altered: () => decision.fired(), signals, asError })
    },
  }
}

/** The first AbortSignal among the arguments, or in a `signal` or `abortSignal` field of one. */
export function signalIn(args: readonly unknown[]): AbortSignal | undefined {
  for (const arg of args) {
    if (arg instanceof AbortSignal) return arg
    if (typeof arg !== 'object' || arg === null) continue
    if ('signal' in arg && arg.signal instanceof AbortSignal) return arg.signal
    if ('abortSignal' in arg && arg.abortSignal instanceof AbortSignal) return arg.abortSignal
  }
  return undefined
}
