/** Field case F5: a time limit that a garbage collection takes away is none. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { within } from '../../src/core/within.ts'

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
