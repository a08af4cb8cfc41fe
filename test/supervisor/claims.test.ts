import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Claims } from '../../src/supervisor/claims.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('claims are taken all or none', () => {
  const claims = new Claims()
  assert.deepEqual(claims.take('r1', ['b']), { granted: true })
  assert.deepEqual(claims.take('r2', ['a', 'b', 'c']), { granted: false, by: 'r1', key: 'b' })
  assert.deepEqual(claims.take('r3', ['a', 'c']), { granted: true })
})

test('a run may take what it has', () => {
  const claims = new Claims()
  claims.take('r1', ['a'])
  assert.deepEqual(claims.take('r1', ['a', 'b']), { granted: true })
})

test('what a run has released can be taken by another', () => {
  const claims = new Claims()
  claims.take('r1', ['a', 'b'])
  claims.release('r1')
  assert.deepEqual(claims.take('r2', ['a', 'b']), { granted: true })
})

test('who waits is woken when the last of its keys is free, and not before', async () => {
  const claims = new Claims()
  claims.take('r1', ['a'])
  claims.take('r2', ['b'])
  let woken: string | undefined
  const waiting = claims.wait('r3', ['a', 'b']).then((why) => (woken = why))
  claims.release('r1')
  await turn()
  assert.equal(woken, undefined)
  claims.release('r2')
  await waiting
  assert.equal(woken, 'released')
})

test('a run that is released while it waits is told that it is gone', async () => {
  const claims = new Claims()
  claims.take('r1', ['a'])
  const waiting = claims.wait('r2', ['a'])
  claims.release('r2')
  assert.equal(await waiting, 'gone')
})

test('waiting takes nothing: another run may be faster', async () => {
  const claims = new Claims()
  claims.take('r1', ['a'])
  const waiting = claims.wait('r2', ['a'])
  claims.release('r1')
  assert.deepEqual(claims.take('r3', ['a']), { granted: true })
  assert.equal(await waiting, 'released')
  assert.equal(claims.take('r2', ['a']).granted, false)
})
