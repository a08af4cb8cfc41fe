/** What the errors of a statement are read as. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sqlState } from '../../../src/targets/database/postgres/sql.ts'

const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more })

test('the code of the server is read, also from the cause', () => {
  assert.equal(sqlState(coded('55P03')), '55P03')
  assert.equal(sqlState(new Error('lost', { cause: coded('57P05') })), '57P05')
})

test('EPIPE, a code of the operating system that looks like one of the server, is none', () => {
  assert.equal(sqlState(coded('EPIPE', { errno: -32, syscall: 'write' })), undefined)
  assert.equal(sqlState(new Error('lost', { cause: coded('EPERM', { errno: -1, syscall: 'connect' }) })), undefined)
})
