/** Filled-in values in texts: expressions stand in their place, and ordinary words stay. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError, ConfigError, messageOf } from '../../src/core/errors.ts'
import { maskOf } from '../../src/core/filled.ts'

const file = (text: string) => ({ text, shown: '${file:x}', secret: true })
const plain = (text: string) => ({ text, shown: '${V}', secret: false })

test('D22: of a file no line is shown: not in another case, not truncated, not encoded, not quoted', () => {
  const passwd = 'root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin'
  const mask = maskOf([file(passwd)])
  const [first = '', second = ''] = passwd.split('\n')
  for (const form of [
    ...[passwd, first, second, passwd.toUpperCase(), JSON.stringify(passwd).slice(1, -1), encodeURIComponent(passwd)],
    ...[passwd.slice(0, 40), second.slice(0, 20), second.slice(-20), passwd.replace('\n', ' ')],
  ]) {
    const said = mask.text(`there is no table "${form}" in public`)
    assert.equal(said, 'there is no table "${file:x}" in public', form)
  }
  assert.equal(mask.text('the daemon is up'), 'the daemon is up')
})

test('D22: a value of a plain variable is one word; short values and numbers only in what says that something is wrong', () => {
  const mask = maskOf([plain('orders'), { ...plain('7'), shown: '${N}' }, { ...plain('ab'), shown: '${S}' }])
  assert.equal(
    mask.text('insert 7 rows into public.orders, not ab.preorders'),
    'insert 7 rows into public.${V}, not ab.preorders',
  )
  assert.equal(
    mask.problem('the run would change 17 rows and limits.rows is 7: "ab"'),
    'the run would change 17 rows and limits.rows is ${N}: "${S}"',
  )
})

test('D22: an error and all that caused it is masked, and stays the error that it was', () => {
  const mask = maskOf([file('hunter2')])
  const cause = new Error('getaddrinfo ENOTFOUND hunter2')
  const error = mask.error(new CodedError('TARGET_UNREACHABLE', 'cannot connect', { cause }))
  assert.ok(error instanceof CodedError)
  assert.equal(messageOf(error), 'cannot connect: getaddrinfo ENOTFOUND ${file:x}')
  const about = { endpoint: 'postgres://hunter2:5432/a', count: 3 }
  const refused = mask.error(new CodedError('BLOCKED_BY_RESIDUE', 'blocked', { about })) as CodedError
  assert.deepEqual(refused.about, { endpoint: 'postgres://${file:x}:5432/a', count: 3 })
  const problem = { file: 'f', line: 0, column: 0, path: 'tables', message: 'there is no table HUNTER2' }
  const config = mask.error(new ConfigError([problem], 'CONFIG_NOT_ON_TARGET'))
  assert.ok(config instanceof ConfigError)
  assert.equal(config.problems[0]?.message, 'there is no table ${file:x}')
  assert.ok(!/hunter2/i.test(`${config.message}${config.stack ?? ''}`))
})

test('D22: what programs read of an event stays as it is', () => {
  const mask = maskOf([plain('warning'), plain('orders')])
  assert.deepEqual(mask.data({ type: 'warning', message: 'of warning', steps: [{ resource: 'public.orders' }] }), {
    ...{ type: 'warning', message: 'of ${V}', steps: [{ resource: 'public.${V}' }] },
  })
})

test('a value that is an address hides no other that begins like it', () => {
  const mask = maskOf([file('postgres://u:pw-of-u@db/shop')])
  assert.equal(
    mask.text('postgres://u:***@db/shop of postgres://u:pw-of-u@db/shop'),
    'postgres://u:***@db/shop of ${file:x}',
  )
})
