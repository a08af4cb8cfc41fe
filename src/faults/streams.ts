/** Streams that begin late, end early or carry a wrong item: async iterables, web streams and Node's, each staying what it is. */
import type { StreamAlter } from './action.ts'

/** What is done to a stream, in this order. */
export interface StreamShape {
  /** Awaited before the first item; an error of it is the stream's. */
  before?: (() => Promise<void>) | undefined
  alter?: StreamAlter | undefined
  /** Called when an item has been changed, or the stream cut short. */
  altered?: (() => void) | undefined
  /** Called when the stream has ended, however. */
  ended?: (() => void) | undefined
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** A stream of the same kind, reading from `source`. */
export function reshape(source: AsyncIterable<unknown>, shape: StreamShape): AsyncIterable<unknown> {
  const items = closing(source, shapedItems(source, shape), shape.ended)
  if (typeof ReadableStream !== 'undefined' && source instanceof ReadableStream) return webStream(items)
  const from = nodeStream(source)
  if (from) return from(items, { objectMode: 'readableObjectMode' in source && source.readableObjectMode === true })
  if ('next' in source) return items
  // Whatever else the object has (a controller, the final answer) stays within reach.
  return Object.create(source, { [Symbol.asyncIterator]: { value: () => items } }) as AsyncIterable<unknown>
}

async function* shapedItems(
  source: AsyncIterable<unknown, unknown>,
  { before, alter = {}, altered, ended }: StreamShape,
): AsyncGenerator<unknown, unknown> {
  try {
    const { keep_items: keep = Infinity, cut = false, item: change } = alter
    const iterator = source[Symbol.asyncIterator]()
    let [changed, finished, count] = [false, false, 0]
    try {
      await before?.()
      while (count < keep) {
        const step = await iterator.next()
        if (step.done === true) {
          finished = true
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
): AsyncGenerator<unknown, unknown> {
  let begun = false
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
      return items.next()
    },
    async return(value: unknown) {
      await close()
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
    const { keep_items: keep = Infinity, cut = false, item: change } = alter
    let [changed, finished, count] = [false, false, 0]
    try {
      before?.()
      while (count < keep) {
        const step = source.next()
        if (step.done === true) {
          finished = true
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

type FromItems = (items: AsyncIterable<unknown>, options: { objectMode: boolean }) => AsyncIterable<unknown>

/** `Readable.from`, found on the stream itself: the library imports nothing, not even of Node. */
function nodeStream(source: object): FromItems | undefined {
  if (!('pipe' in source) || typeof source.pipe !== 'function') return undefined
  const { constructor: Own } = source
  return 'from' in Own && typeof Own.from === 'function' ? (Own.from.bind(Own) as FromItems) : undefined
}
