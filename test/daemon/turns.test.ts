/** Turns: no more than there are, in the order of asking, and none is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LocalTurns, TurnsFullError } from '../../src/daemon/turns.ts'

/** A signal of each one's own. */
const never = (): AbortSignal => new AbortController().signal
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const isFree = async (turns: LocalTurns): Promise<boolean> => {
  const turn = await turns.take()
  turn?.()
  return turn !== undefined
}

test('no more than max are given out at once, and who waits gets one in the order of asking', async () => {
  const turns = new LocalTurns(2)
  const got: number[] = []
  const give: (() => void)[] = []
  const asked = [0, 1, 2, 3, 4].map(async (n) => {
    give.push(await turns.wait(never()))
    got.push(n)
  })
  await tick()
  assert.deepEqual([got, await turns.take()], [[0, 1], undefined])
  for (const expected of [
    [0, 1, 2],
    [0, 1, 2, 3],
    [0, 1, 2, 3, 4],
  ]) {
    give.shift()?.()
    await tick()
    assert.deepEqual(got, expected)
  }
  await Promise.all(asked)
  for (const release of give) release()
  assert.equal(await isFree(turns), true)
})

test('a turn that is given back twice is given back once', async () => {
  const turns = new LocalTurns(1)
  const give = await turns.wait(never())
  give()
  give()
  await turns.wait(never())
  assert.equal(await isFree(turns), false)
})

test('the queue is bounded: one more is refused at once', async () => {
  const turns = new LocalTurns(1, 16)
  const give = await turns.wait(never())
  const waiting = Array.from({ length: 16 }, () => turns.wait(never()))
  await assert.rejects(turns.wait(never()), TurnsFullError)
  give()
  ;(await waiting[0]!)()
})

test('who stops waiting is passed over, and the turn goes to the next', async () => {
  const turns = new LocalTurns(1)
  const give = await turns.wait(never())
  const stop = new AbortController()
  const first = turns.wait(stop.signal)
  const second = turns.wait(never())
  stop.abort(new Error('it waited too long'))
  await assert.rejects(first, /it waited too long/)
  give()
  await second
  assert.equal(await isFree(turns), false)
})

test('who has stopped before asking does not wait', async () => {
  const turns = new LocalTurns(1)
  const give = await turns.wait(never())
  await assert.rejects(turns.wait(AbortSignal.abort(new Error('stopped'))), /stopped/)
  give()
  assert.equal(await isFree(turns), true)
})

test('a turn that is given back just when somebody begins to wait is his', { timeout: 10_000 }, async () => {
  const turns = new LocalTurns(1)
  const give = await turns.take()
  const waiting = turns.wait(never())
  give?.()
  assert.ok(await waiting)
})
