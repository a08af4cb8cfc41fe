/** Keys of rows: folded, counted and split without losing or doubling one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { countKeys, foldKeys, rowName, splitKeys } from '../../../src/targets/database/rows/keys.ts'
import type { Keys } from '../../../src/targets/database/rows/keys.ts'

const integer = { integer: true }

function unfold(keys: Keys): bigint[] {
  return keys.flatMap(([first = '0', last = '0']) => {
    const all = []
    for (let n = BigInt(first); n <= BigInt(last); n++) all.push(n)
    return all
  })
}

const numbers = fc.uniqueArray(
  fc.oneof(fc.integer({ min: 0, max: 60 }).map(BigInt), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
)

test('integers become ranges and back, sorted, whatever their size', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const keys = foldKeys(
        integer,
        values.map((n) => [String(n)]),
      )
      const sorted = [...values].sort((a, b) => (a < b ? -1 : 1))
      assert.deepEqual(unfold(keys), sorted)
      assert.equal(countKeys(integer, keys), values.length)
    }),
  )
  assert.deepEqual(foldKeys(integer, [['3'], ['1'], ['2'], ['9']]), [
    ['1', '3'],
    ['9', '9'],
  ])
})

test('parts hold at most so many rows, and together every one once', () => {
  fc.assert(
    fc.property(numbers, fc.integer({ min: 1, max: 20 }), (values, size) => {
      const keys = foldKeys(
        integer,
        values.map((n) => [String(n)]),
      )
      const parts = [...splitKeys(integer, keys, size)]
      assert.deepEqual(parts.flatMap(unfold), unfold(keys))
      for (const [i, part] of parts.entries()) {
        const count = countKeys(integer, part)
        assert.ok(count <= size && (count === size || i === parts.length - 1), `${count} of ${size}`)
      }
    }),
  )
  const tuples = Array.from({ length: 7 }, (_, i) => [`a${i}`, `b${i}`])
  assert.deepEqual(
    [...splitKeys({ integer: false }, tuples, 3)].map((part) => part.length),
    [3, 3, 1],
  )
  assert.deepEqual([...splitKeys({ integer: false }, tuples, 3)].flat(), tuples)
})

test('a row is called by its key, a long key in short', () => {
  assert.equal(rowName('public.users', ['42']), 'public.users 42')
  assert.equal(rowName('t', ['a', 'b'.repeat(100)]).length, 't a, '.length + 60)
})
