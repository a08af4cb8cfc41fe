/**
 * Whatever has a `then`: promises, and queries that begin only when they are awaited. Calling `then` may do the caller's
 * work, so it is called once each time the caller does, and never for our own sake.
 */
import { mirrorOf } from './mirror.ts'

export type Thenable = PromiseLike<unknown>
type Then = (ok: (value: unknown) => void, fail: (error: unknown) => void) => unknown

/** A promise of the language itself, with nothing added (but the symbols of Node's async hooks): awaiting it twice does nothing. */
export function isPlainPromise(value: unknown): value is Promise<unknown> {
  return (
    value instanceof Promise &&
    Object.getPrototypeOf(value) === Promise.prototype &&
    Object.getOwnPropertyNames(value).length === 0
  )
}

/** Told without reading `then`, as a getter may begin the work. */
export function isThenable(value: unknown): value is Thenable {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  for (let at: unknown = value; typeof at === 'object' || typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    if (at === null) return false
    const then = Reflect.getOwnPropertyDescriptor(at, 'then')
    if (then) return then.get !== undefined || typeof then.value === 'function'
  }
  return false
}

/** The `then` of an object that shows it only when it is read, as a Proxy may: this reading stands for the caller's first. */
export function hiddenThen(value: unknown): Then | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  if (Array.isArray(value) || value instanceof Error || value instanceof Date) return undefined
  // A Proxy around a map or a function looks like one.
  if (prototype !== Object.prototype && prototype !== Function.prototype && prototype !== null) return undefined
  const then: unknown = (value as { then?: unknown }).then
  return typeof then === 'function' ? (then as Then) : undefined
}

export interface Around {
  /** Awaited before the answer; begun when it is asked for first. */
  before: () => Promise<void>
  /** The answer as the caller gets it. */
  after: (answer: unknown) => unknown
  /** The answer has come, or failed. */
  ended: () => void
  /** Told of what other methods return. */
  carried: (result: unknown) => unknown
}

/** The same object, whose answer comes later, or is another. */
export function answerLater<T extends object>(object: T, around: Around, firstThen?: Then): T {
  let first = firstThen
  /** One call of the object's own `then`. */
  const begin = (): Promise<unknown> =>
    new Promise((ok, fail) => {
      const then = first
      first = undefined
      if (then) Reflect.apply(then, object, [ok, fail])
      else void (object as unknown as Thenable).then(ok, fail)
    })
  // The work of a promise is under way: it must have a listener when it fails. A query waits until it is begun.
  const isUnderWay = object instanceof Promise
  const outcome = async (): Promise<unknown> => {
    const answered = isUnderWay ? begin() : undefined
    answered?.catch(() => undefined)
    try {
      await around.before()
      return await around.after(await (answered ?? begin()))
    } finally {
      around.ended()
    }
  }
  type Listener = ((value: unknown) => unknown) | undefined
  const instead: Record<string, unknown> = {
    then: (ok: Listener, fail: Listener) => outcome().then(ok, fail),
    catch: (fail: Listener) => outcome().catch(fail),
    finally: (end: () => void) => outcome().finally(end),
  }
  return mirrorOf(object, {
    instead: (property) =>
      typeof property === 'string' && Object.hasOwn(instead, property) ? instead[property] : undefined,
    carried: around.carried,
  })
}

/**
 * A failed answer in place of an object that was never made: whatever is called on it is still that failure, so that a chain
 * of methods (`.from(users).where(…)`) ends in a rejection, not in a TypeError. `like` is an earlier answer's prototype;
 * null where none was seen.
 */
export function failedLike(failure: Promise<never>, like: object | null): Promise<never> {
  const again = (): unknown => standIn
  const standIn: Promise<never> = new Proxy(failure, {
    get(_, property) {
      if (property === Symbol.asyncIterator && (like === null || property in like))
        return () => ({ next: () => failure })
      if (typeof property === 'symbol' || property in failure) {
        const value: unknown = Reflect.get(failure, property, failure)
        return typeof value === 'function' && property !== 'constructor' ? (value.bind(failure) as unknown) : value
      }
      return like === null || typeof valueIn(like, property) === 'function' ? again : undefined
    },
    getPrototypeOf: () => like ?? Promise.prototype,
  })
  return standIn
}

function valueIn(prototype: object, property: string): unknown {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const own = Reflect.getOwnPropertyDescriptor(at, property)
    if (own) return own.value
  }
  return undefined
}
