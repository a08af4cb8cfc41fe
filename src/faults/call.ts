/** Carries a plan out around one call, in the way that fits the function: promises are awaited, generators stay lazy. */
import type { Plan, Site } from './plan.ts'
import { isAsyncIterable, reshape, reshapeSync } from './streams.ts'
import type { Fault } from './fault.ts'
import type { Decision } from './rule.ts'

/** `unknown`: a plain function that has not been called yet; what it returns tells. */
export type CallKind = 'sync' | 'async' | 'generator' | 'async_generator' | 'unknown'

/** A site whose kind is learnt from its answers. */
export interface CallSite extends Site {
  kind: CallKind
}

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
  return callWithPlan(site, plan, () => fn.call(self, ...args), args)
}

function callWithPlan(site: CallSite, plan: Plan, call: () => unknown, args: readonly unknown[]): unknown {
  switch (site.kind) {
    case 'async':
      return callAsync(plan, call, signalIn(args))
    case 'generator':
      return generate(plan, call)
    case 'async_generator':
      return stream(plan, call, args)
    case 'sync':
      return callSync(plan, call)
    case 'unknown':
      return callUnknown(site, plan, call, args)
  }
}

/** One fault that changes an answer, as an adapter sees it that knows where in the answer the data is. */
export interface Change {
  readonly fault: Fault
  /** The wrong data in place of the right; the very same where it cannot be made wrong. Once for each answer. */
  value(data: unknown): unknown
  /** The same for data that comes as a stream. */
  stream(items: AsyncIterable<unknown>): AsyncIterable<unknown>
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
    if (inside === undefined) return alteredAnswer(plan, answer) as Awaited<T>
    let altered = answer
    for (const decision of plan.alterations) altered = await inside(altered, changeOf(decision))
    return altered
  } finally {
    plan.release()
  }
}

function callSync(plan: Plan, call: () => unknown): unknown {
  try {
    plan.beforeSync()
    return alteredAnswer(plan, call())
  } finally {
    plan.release()
  }
}

/**
 * Only the answer tells how a plain function must be treated. An error needs no answer and is thrown; what waits, waits
 * after the call, so that a function that returns a promise is never blocked.
 */
function callUnknown(site: CallSite, plan: Plan, call: () => unknown, args: readonly unknown[]): unknown {
  if (plan.raises && !plan.waits) return callSync(plan, call)
  let answer: unknown
  try {
    answer = learnt(site, call())
  } catch (error) {
    plan.release()
    throw error
  }
  if (site.kind === 'async_generator') return stream(plan, () => answer, args)
  if (site.kind !== 'async') return callSync(plan, () => answer)
  // It may reject while we wait: then we are its only listener, and hand its error on later.
  Promise.resolve(answer).catch(() => undefined)
  return callAsync(plan, () => answer, signalIn(args))
}

function learnt(site: CallSite, answer: unknown): unknown {
  if (isThenable(answer)) site.kind = 'async'
  else if (isAsyncIterable(answer)) site.kind = 'async_generator'
  else site.kind = 'sync'
  return answer
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

function stream(plan: Plan, call: () => unknown, args: readonly unknown[]): unknown {
  const source = call()
  // A function that returned a stream once may return something else now.
  if (!isAsyncIterable(source)) return callSync(plan, () => source)
  const signal = signalIn(args)
  const altered = plan.alterations.reduce<unknown>(alterOne, source) as AsyncIterable<unknown>
  return reshape(altered, { before: () => plan.before(signal), ended: () => plan.release() })
}

/** The answer after everything that changes it. */
function alteredAnswer(plan: Plan, answer: unknown): unknown {
  if (!plan.alters) return answer
  if (isThenable(answer)) return Promise.resolve(answer).then((value) => alteredAnswer(plan, value))
  return plan.alterations.reduce(alterOne, answer)
}

function alterOne(answer: unknown, decision: Decision): unknown {
  const change = changeOf(decision)
  return isAsyncIterable(answer) ? change.stream(answer) : change.value(answer)
}

function changeOf(decision: Decision): Change {
  const { alter } = decision.action
  return {
    fault: decision.rule.fault,
    value(data) {
      const other = alter === undefined ? data : alter.value(data)
      if (!Object.is(other, data)) decision.fired()
      return other
    },
    stream: (items) =>
      alter?.stream ? reshape(items, { alter: alter.stream, altered: () => decision.fired() }) : items,
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
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
