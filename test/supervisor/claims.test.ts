import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LocalClaims } from '../../src/supervisor/claims.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('claims are taken all or none', async () => {
  const claims = new LocalClaims()
  assert.deepEqual(await claims.take('r1', ['b']), { granted: true })
  assert.deepEqual(await claims.take('r2', ['a', 'b', 'c']), { granted: false, by: 'r1', key: 'b' })
  assert.deepEqual(await claims.take('r3', ['a', 'c']), { granted: true })
})

test('a run may take what it has', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a'])
  assert.deepEqual(await claims.take('r1', ['a', 'b']), { granted: true })
})

test('what a run has released can be taken by another', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a', 'b'])
  await claims.release('r1')
  assert.deepEqual(await claims.take('r2', ['a', 'b']), { granted: true })
})

test('who waits is woken when the last of its keys is free, and not before', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a'])
  await claims.take('r2', ['b'])
  let woken: string | undefined
  const waiting = claims.wait('r3', ['a', 'b']).then((why) => (woken = why))
  await claims.release('r1')
  await turn()
  assert.equal(woken, undefined)
  await claims.release('r2')
  await waiting
  assert.equal(woken, 'released')
})

test('a run that is released while it waits is told that it is gone', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a'])
  const waiting = claims.wait('r2', ['a'])
  await claims.release('r2')
  assert.equal(await waiting, 'gone')
})

test('waiting takes nothing: another run may be faster', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a'])
  const waiting = claims.wait('r2', ['a'])
  await claims.release('r1')
  assert.deepEqual(await claims.take('r3', ['a']), { granted: true })
  assert.equal(await waiting, 'released')
  assert.equal((await claims.take('r2', ['a'])).granted, false)
})

test('who waits for what is free by now does not wait', async () => {
  const claims = new LocalClaims()
  await claims.take('r1', ['a'])
  assert.equal((await claims.take('r2', ['a'])).granted, false)
  await claims.release('r1')
  assert.equal(await claims.wait('r2', ['a']), 'released')
})
