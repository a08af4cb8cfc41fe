/** Field case F5: a time limit that a garbage collection takes away is none. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { systemClock } from '../../src/core/clock.ts'
import { atMost, within } from '../../src/core/within.ts'

const aborted = (signal: AbortSignal): Promise<never> =>
  once(signal, 'abort').then(() => Promise.reject(signal.reason as Error))

test('the limit fires after garbage collections, with a signal of somebody else beside it', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const collecting = setInterval(collect, 10)
  try {
    const other = new AbortController()
    await assert.rejects(within(150, aborted, other.signal), { name: 'TimeoutError' })
  } finally {
    clearInterval(collecting)
  }
})

test('the first signal that aborts ends the work with its reason, also one that has aborted before', async () => {
  const other = new AbortController()
  const waiting = within(60_000, aborted, new AbortController().signal, other.signal)
  other.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
  const early = within(60_000, (signal) => Promise.resolve(signal.reason as Error), other.signal)
  assert.match((await early).message, /enough/)
})

test('it answers as the work does, and leaves no timer and no listener behind', async () => {
  const other = new AbortController()
  const [done, failed] = [
    within(60_000, () => Promise.resolve(7), other.signal),
    within(60_000, () => Promise.reject(new Error('no'))),
  ]
  assert.equal(await done, 7)
  await assert.rejects(failed, /no/)
  other.abort(new Error('late'))
  // A timer of a minute would keep this process from ending: the runner would say so.
})

const never = (): Promise<never> => new Promise(() => undefined)

test('what does not heed its signal is left at the limit, and at an abort, with what is answered instead', async () => {
  const reasonOf = (reason: unknown): string => (reason as Error).message
  for (const clock of [undefined, systemClock]) {
    const limit = { ...(clock ? { clock } : {}), ms: 20, why: 'too slow' }
    assert.equal(await atMost(limit, never, reasonOf), 'too slow')
    const other = new AbortController()
    const waiting = atMost({ ...limit, ms: 60_000 }, never, reasonOf, other.signal)
    other.abort(new Error('enough'))
    assert.equal(await waiting, 'enough')
  }
})

test('what is left may still fail: nobody hears of it', async () => {
  let fail: (error: Error) => void = () => undefined
  const work = (): Promise<never> => new Promise((_resolve, reject) => (fail = reject))
  assert.equal(await atMost(5, work, () => 'left'), 'left')
  fail(new Error('unheard'))
  await new Promise((resolve) => setImmediate(resolve))
})

test('within the limit the answer is that of the work, and nothing is begun that is aborted before', async () => {
  assert.equal(await atMost(60_000, () => Promise.resolve(7), never), 7)
  await assert.rejects(
    atMost(60_000, () => Promise.reject(new Error('no')), never),
    /no/,
  )
  let begun = false
  const work = (): Promise<void> => ((begun = true), Promise.resolve())
  assert.equal(await atMost(60_000, work, () => 'instead', AbortSignal.abort()), 'instead')
  assert.equal(begun, false)
})
