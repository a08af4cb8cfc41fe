/** Work on many things, so many at once. */

/** What became of each, in the order of `all`; the others go on where one fails. */
export async function pooled<T, R>(
  all: readonly T[],
  atOnce: number,
  work: (one: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const queue = [...all.entries()]
  const results: PromiseSettledResult<R>[] = []
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [result] = await Promise.allSettled([work(next[1])])
      results[next[0]] = result
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, all.length) }, lane))
  return results
}
