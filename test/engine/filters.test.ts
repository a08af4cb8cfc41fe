import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../src/core/errors.ts'
import type { Resource } from '../../src/core/skill.ts'
import { matching } from '../../src/engine/filters.ts'

const named = (name: string): Resource => ({ id: `public.${name}`, name }) as Resource

test(
  'F18: a filter that never comes to an end on a long name is named, and the worker lives',
  { timeout: 60_000 },
  () => {
    for (const filter of ['(a+)+b', '(.*a){25}x', '(a|aa)+b'])
      assert.throws(
        () => matching(filter, [named('a'.repeat(55))]),
        (error) =>
          error instanceof ConfigError &&
          error.exitCode === 2 &&
          error.message.includes(`resource_filters: ${JSON.stringify(filter)} does not come to an end`),
      )
  },
)

test('a filter matches the whole id or the whole name, and finds ten thousand tables', () => {
  const resources = [named('orders'), named('orders_old'), ...Array.from({ length: 10_000 }, (_, i) => named(`t${i}`))]
  assert.deepEqual(
    matching('orders|public\\.orders_old', resources).map(({ name }) => name),
    ['orders', 'orders_old'],
  )
  assert.equal(matching('t.*', resources).length, 10_000)
})
