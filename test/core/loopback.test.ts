/** What counts as this machine: where a token, TLS or a warning is not needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopback } from '../../src/core/loopback.ts'
import { isSameToken } from '../../src/core/same-token.ts'

test('addresses and the one name of this machine, and nothing that only looks like them', () => {
  for (const host of ['localhost', 'LOCALHOST.', '127.0.0.1', '127.255.0.9', '::1', '[::1]'])
    assert.ok(isLoopback(host), host)
  for (const host of [
    '',
    '127.evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'notlocalhost',
    '0.0.0.0',
    '::',
    '[::]',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '::1.example',
  ])
    assert.ok(!isLoopback(host), host)
})

test('a token is the same or it is not, whatever its length', () => {
  assert.ok(isSameToken('a-token', 'a-token'))
  for (const given of ['', 'a-toke', 'a-token ', 'A-token', 'x'.repeat(10_000)])
    assert.ok(!isSameToken(given, 'a-token'))
})
