/** Runs that share systems: newest first on each of them, and side by side elsewhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecoveryOrder } from '../../src/supervisor/recovery-order.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** What may begin, in the order in which it was told so. */
function watched(runs: readonly { run: string; systems: readonly string[] }[]) {
  const order = new RecoveryOrder(runs)
  const begun: string[] = []
  const wait = (run: string, ...systems: string[]): void =>
    void order.wait(run, systems).then(() => begun.push(`${run} ${systems.join()}`))
  return { order, begun, wait }
}

test('two runs that share one of three systems: the newer is first there, and neither waits elsewhere', async () => {
  const { order, begun, wait } = watched([
    { run: 'new', systems: ['a', 'b'] },
    { run: 'old', systems: ['b', 'c'] },
  ])
  wait('old', 'b', 'c')
  wait('old', 'c')
  wait('old', 'b')
  wait('new', 'a')
  wait('new', 'b')
  await settled()
  assert.deepEqual(begun, ['old b,c', 'old c', 'new a', 'new b'])
  order.leave('new', 'a')
  await settled()
  assert.equal(begun.length, 4)
  order.leave('new', 'b')
  await settled()
  assert.deepEqual(begun.slice(4), ['old b'])
})

test('a run whose worker has died is done everywhere; a system that nobody announced is free', async () => {
  const { order, begun, wait } = watched([
    { run: 'new', systems: ['a'] },
    { run: 'old', systems: ['a'] },
    { run: 'oldest', systems: ['a'] },
  ])
  wait('oldest', 'a')
  wait('old', 'a')
  wait('old', 'another')
  await settled()
  assert.deepEqual(begun, ['old another'])
  order.leave('new')
  await settled()
  assert.deepEqual(begun.slice(1), ['old a'])
  order.leave('old')
  await settled()
  assert.deepEqual(begun.slice(2), ['oldest a'])
})
