/** Node's readable streams: whatever their source pushes passes through another hand. The library imports nothing of Node. */

export interface NodeStream extends AsyncIterable<unknown> {
  push(chunk: unknown, encoding?: unknown): boolean
  destroy(error?: unknown): unknown
  once(event: string, listener: () => void): unknown
  readonly destroyed: boolean
  readonly readableLength: number
  readonly readableFlowing: boolean | null
  readonly readableEnded: boolean
}

/** One from which nothing has been read yet, and which has nothing to read yet. */
export function isNodeStream(value: object): value is NodeStream {
  const stream = value as Partial<NodeStream>
  const methods = ['push', 'read', 'pipe', 'once', 'destroy'] as const
  return (
    methods.every((name) => name in value && typeof (value as Record<string, unknown>)[name] === 'function') &&
    stream.readableLength === 0 &&
    stream.readableFlowing !== true &&
    stream.readableEnded === false &&
    stream.destroyed === false
  )
}

/**
 * From now on the stream is given the items of `shaped` to read. It stays the very object, with its own way of opening,
 * closing and failing. `ended` is called when it is over.
 */
export function replacePushes(
  stream: NodeStream,
  shaped: (pushed: AsyncIterable<unknown>) => AsyncIterable<unknown>,
  ended: (() => void) | undefined,
): void {
  const queue = new Pushed()
  const push = stream.push.bind(stream)
  Object.defineProperty(stream, 'push', {
    configurable: true,
    writable: true,
    enumerable: false,
    value(chunk: unknown, encoding?: unknown) {
      queue.add(chunk, encoding)
      // The source waits until it is asked again.
      return false
    },
  })
  const over = (): void => {
    queue.end()
    ended?.()
  }
  stream.once('close', over)
  void pump(stream, push, shaped(queue), queue).then(
    () => ended?.(),
    (error: unknown) => void stream.destroy(error),
  )
}

async function pump(stream: NodeStream, push: NodeStream['push'], items: AsyncIterable<unknown>, queue: Pushed) {
  for await (const item of items) {
    if (stream.destroyed) return
    push(item, typeof item === 'string' ? queue.encoding : undefined)
  }
  if (!stream.destroyed) push(null)
}

/** What has been pushed, in order. */
class Pushed implements AsyncIterable<unknown> {
  encoding: unknown
  readonly #items: unknown[] = []
  #isOver = false
  #wake: (() => void) | undefined

  add(chunk: unknown, encoding: unknown): void {
    if (chunk === null) this.#isOver = true
    else this.#items.push(chunk)
    this.encoding ??= encoding
    this.#wake?.()
  }

  end(): void {
    this.#isOver = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void> {
    for (;;) {
      while (this.#items.length > 0) yield this.#items.shift()
      if (this.#isOver) return
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}
