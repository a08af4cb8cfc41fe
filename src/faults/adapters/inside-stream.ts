/** Changes the data in a stream of frames, and leaves alone the frames that carry none. */
import type { Change } from '../call.ts'

export interface Frames<F> {
  /** Undefined where the frame is envelope only. */
  dataOf(frame: F): string | undefined
  withData(frame: F, data: string): F
}

/** A stream that is cut ends right there: what would follow does not come. */
export async function* insideStream<F>(
  source: AsyncIterable<F>,
  { dataOf, withData }: Frames<F>,
  change: Change,
): AsyncGenerator<F, void> {
  let waiting: F[] = []
  const read = { whole: false }
  async function* datas(): AsyncGenerator<string, void> {
    for await (const frame of source) {
      waiting.push(frame)
      const data = dataOf(frame)
      if (data !== undefined) yield data
    }
    read.whole = true
  }
  for await (const data of change.stream(datas())) {
    const frame = waiting.pop()
    yield* waiting
    waiting = []
    if (frame !== undefined) yield withData(frame, String(data))
  }
  if (read.whole) yield* waiting
}
