/** Streams that begin late, end early or carry a wrong item: async iterables, web streams and Node's, each staying what it is. */
import type { StreamAlter } from './action.ts'
import { LateListeners } from './late-listeners.ts'
import { mirrorOf } from './mirror.ts'
import { isNodeStream, replacePushes } from './node-streams.ts'
import type { NodeStream } from './node-streams.ts'
import { isPlainPromise } from './thenables.ts'

/** What is done to a stream, in this order. */
export interface StreamShape {
  /** Awaited before the first item; an error of it is the stream's. */
  before?: (() => Promise<void>) | undefined
  alter?: StreamAlter | undefined
  /** Called when an item has been changed, or the stream cut short. */
  altered?: (() => void) | undefined
  /** Each ends a stall; the stream then fails with its reason. */
  signals?: readonly AbortSignal[] | undefined
  /** How this kind of stream says that it has broken off. */
  asError?: ((error: unknown) => unknown) | undefined
  /** Called when the stream has ended, however. */
  ended?: (() => void) | undefined
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** The stream itself, or what is it in everything but its items. */
export function reshape(source: AsyncIterable<unknown>, given: StreamShape): AsyncIterable<unknown> {
  let gate: Promise<void> | undefined
  const { before } = given
  const shape: StreamShape = { ...given, ...(before && { before: () => (gate ??= before()) }) }
  if (isWebStream(source)) return reshapeWebStream(source, shape)
  if (isNodeStream(source)) return reshapeInPlace(source, shape)
  let items: AsyncGenerator<unknown, unknown> | undefined
  const iterate = (): AsyncGenerator<unknown, unknown> => shapedStream(source, shape)
  const only = (): AsyncGenerator<unknown, unknown> => (items ??= iterate())
  const isIterator = 'next' in source
  const listeners = new LateListeners(shape.before)
  return mirrorOf(source, {
    instead(property) {
      if (property === Symbol.asyncIterator) return isIterator ? () => only() : iterate
      if (isIterator && (property === 'next' || property === 'return' || property === 'throw')) {
        const iterator = only()
        return iterator[property].bind(iterator)
      }
      return listeners.instead(source, property)
    },
    carried: (result) => carriedShape(result, shape),
  })
}

/** What else an object gives of its stream: other streams of the same items, and promises that are as late. */
function carriedShape(result: unknown, shape: StreamShape): unknown {
  const rest: StreamShape = { ...shape, ended: undefined }
  if (isAsyncIterable(result)) return reshape(result, rest)
  if (Array.isArray(result) && result.length > 0 && result.every(isAsyncIterable))
    return result.map((one) => reshape(one, rest))
  if (isPlainPromise(result) && shape.before) {
    result.catch(() => undefined)
    return shape.before().then(() => result)
  }
  return result
}

function shapedStream(source: AsyncIterable<unknown>, shape: StreamShape): AsyncGenerator<unknown, unknown> {
  const stop = new AbortController()
  return closing(source, shapedItems(source, shape, stop.signal), shape.ended, stop)
}

async function* shapedItems(
  source: AsyncIterable<unknown, unknown>,
  { before, alter = {}, altered, ended, signals = [], asError = (error) => error }: StreamShape,
  stop?: AbortSignal,
): AsyncGenerator<unknown, unknown> {
  try {
    const { keep_items: keep = Infinity, cut = false, item: change, stall, reset, end } = alter
    const signal = AbortSignal.any(stop ? [...signals, stop] : [...signals])
    const iterator = source[Symbol.asyncIterator]()
    let [changed, finished, count] = [false, false, 0]
    try {
      await before?.()
      while (count < keep) {
        if (stall && (stall.after === undefined ? count > 0 : count === stall.after)) {
          altered?.()
          await stall.wait(signal)
        }
        const broken = reset !== undefined && count >= reset.after ? reset.error() : undefined
        if (broken !== undefined) {
          altered?.()
          throw asError(broken)
        }
        const step = await iterator.next()
        if (step.done === true) {
          finished = true
          if (end) altered?.()
          await end?.(signal)
          return step.value
        }
        count++
        let item = step.value
        if (change && !changed) {
          item = change(item)
          changed = item !== step.value
          if (changed) altered?.()
        }
        yield cut && count >= keep ? halfOf(item) : item
      }
      altered?.()
      return undefined
    } finally {
      // Whoever stops reading, or is stopped by us: the source must know.
      if (!finished) await iterator.return?.()
    }
  } finally {
    ended?.()
  }
}

/** A generator that is given up before it is read runs none of its code: then the source is closed here. */
function closing(
  source: AsyncIterable<unknown>,
  items: AsyncGenerator<unknown, unknown>,
  ended: (() => void) | undefined,
  stop: AbortController,
): AsyncGenerator<unknown, unknown> {
  let [begun, reading] = [false, 0]
  const close = async () => {
    if (begun) return
    begun = true
    if ('destroy' in source && typeof source.destroy === 'function') (source as { destroy(): void }).destroy()
    else await source[Symbol.asyncIterator]().return?.()
    ended?.()
  }
  return {
    next() {
      begun = true
      reading++
      return items.next().finally(() => reading--)
    },
    async return(value: unknown) {
      await close()
      // Whoever waits in a stall for the next item is told that there is none.
      if (reading > 0) stop.abort()
      return items.return(value)
    },
    async throw(error: unknown) {
      await close()
      return items.throw(error)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  } as AsyncGenerator<unknown, unknown>
}

/** The same for a synchronous generator. */
export function* reshapeSync(
  source: Iterator<unknown, unknown>,
  { before, alter = {}, altered, ended }: Omit<StreamShape, 'before'> & { before?: () => void },
): Generator<unknown, unknown> {
  try {
    const { keep_items: keep = Infinity, cut = false, item: change, stall, reset, endSync } = alter
    let [changed, finished, count] = [false, false, 0]
    try {
      before?.()
      while (count < keep) {
        if (stall && (stall.after === undefined ? count > 0 : count === stall.after)) {
          altered?.()
          stall.block()
        }
        const broken = reset !== undefined && count >= reset.after ? reset.error() : undefined
        if (broken !== undefined) {
          altered?.()
          throw broken // eslint-disable-line @typescript-eslint/only-throw-error -- the fault's own
        }
        const step = source.next()
        if (step.done === true) {
          finished = true
          if (endSync) altered?.()
          endSync?.()
          return step.value
        }
        count++
        let item = step.value
        if (change && !changed) {
          item = change(item)
          changed = item !== step.value
          if (changed) altered?.()
        }
        yield cut && count >= keep ? halfOf(item) : item
      }
      altered?.()
      return undefined
    } finally {
      if (!finished) source.return?.()
    }
  } finally {
    ended?.()
  }
}

function halfOf(item: unknown): unknown {
  const sized = typeof item === 'string' || item instanceof Uint8Array
  return sized ? item.slice(0, Math.floor(item.length / 2)) : item
}

function webStream(items: AsyncGenerator): ReadableStream<unknown> {
  return new ReadableStream(
    {
      async pull(controller) {
        const step = await items.next()
        if (step.done === true) controller.close()
        else controller.enqueue(step.value)
      },
      async cancel() {
        await items.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

function isWebStream(value: unknown): value is ReadableStream {
  return typeof ReadableStream !== 'undefined' && value instanceof ReadableStream
}

/** A stream of a class of its own keeps what the class adds; whatever reads it reads the other one. */
function reshapeWebStream(source: ReadableStream, shape: StreamShape): AsyncIterable<unknown> {
  const make = () => webStream(shapedStream(source, shape))
  if (Object.getPrototypeOf(source) === ReadableStream.prototype && Reflect.ownKeys(source).length === 0) return make()
  let other: ReadableStream | undefined
  return mirrorOf(source, {
    instead(property) {
      if (property === 'constructor' || property in Object.prototype || !(property in ReadableStream.prototype))
        return undefined
      // What the class has of its own is the class's.
      const own = Reflect.getOwnPropertyDescriptor(ReadableStream.prototype, property)
      if (own === undefined || !isInherited(source, property)) return undefined
      other ??= make()
      const value: unknown = Reflect.get(ReadableStream.prototype, property, other)
      return typeof value === 'function' ? (value.bind(other) as unknown) : value
    },
  })
}

/** Node's streams stay the very object: what they are given to read passes through the shape first. */
function reshapeInPlace(source: NodeStream, shape: StreamShape): AsyncIterable<unknown> {
  replacePushes(source, (pushed) => shapedItems(pushed, { ...shape, ended: undefined }), shape.ended)
  return source
}

/** No class between the object and ReadableStream has a property of that name. */
function isInherited(source: object, property: PropertyKey): boolean {
  for (let at: unknown = source; at !== null && at !== ReadableStream.prototype; at = Object.getPrototypeOf(at))
    if (Object.hasOwn(at as object, property)) return false
  return true
}
