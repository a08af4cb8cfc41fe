import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/core/random.ts'
import { Heap } from '../../src/schedule/heap.ts'

test('a heap gives back what it was given, in order', () => {
  const random = seededRandom('heap')
  const heap = new Heap<number>((a, b) => a < b)
  const inside: number[] = []
  for (let i = 0; i < 5_000; i++) {
    if (random.int(3) > 0) {
      const n = random.int(500)
      heap.push(n)
      inside.push(n)
      continue
    }
    inside.sort((a, b) => b - a)
    assert.equal(heap.top, inside.at(-1))
    assert.equal(heap.pop(), inside.pop())
  }
})
