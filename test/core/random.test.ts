import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/core/random.ts'

const draw = (seed: string, n: number): number[] => {
  const random = seededRandom(seed)
  return Array.from({ length: n }, () => random.next())
}

test('the same seed draws the same numbers, on every machine and in every version', () => {
  assert.deepEqual(draw('seed', 50), draw('seed', 50))
  const random = seededRandom('261122t035310abcd')
  assert.deepEqual(
    Array.from({ length: 8 }, () => random.int(100)),
    [84, 97, 44, 88, 67, 19, 21, 3],
  )
  assert.deepEqual(seededRandom('x').shuffle(['a', 'b', 'c', 'd', 'e']), ['a', 'd', 'c', 'e', 'b'])
})

test('seeds that differ by a letter draw different numbers', () => {
  const firsts = new Set(['a', 'b', 'aa', 'ab', 'ba', '1', '2'].map((seed) => draw(seed, 1)[0]))
  assert.equal(firsts.size, 7)
})

test('numbers are in range and fall evenly: no tenth gets a tenth more or less than its share', () => {
  const tenths = new Array<number>(10).fill(0)
  for (const n of draw('even', 100_000)) {
    assert.ok(n >= 0 && n < 1)
    tenths[Math.floor(n * 10)]!++
  }
  for (const count of tenths) assert.ok(Math.abs(count - 10_000) < 1_000, tenths.join(' '))
})

test('int reaches every whole number below its bound and none else', () => {
  const random = seededRandom('int')
  const seen = new Set(Array.from({ length: 1_000 }, () => random.int(7)))
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6])
  assert.equal(random.int(1), 0)
  const large = Array.from({ length: 1_000 }, () => random.int(2 ** 45))
  assert.ok(large.every((n) => Number.isSafeInteger(n) && n < 2 ** 45))
  assert.ok(large.some((n) => n > 2 ** 44))
})

test('shuffle keeps every element, leaves its list alone, and brings each to each place about equally often', () => {
  const random = seededRandom('shuffle')
  const list = [0, 1, 2, 3]
  const places = list.map(() => [0, 0, 0, 0])
  for (let i = 0; i < 8_000; i++) {
    const shuffled = random.shuffle(list)
    assert.deepEqual([...shuffled].sort(), [0, 1, 2, 3])
    for (const [place, value] of shuffled.entries()) places[value]![place]! += 1
  }
  assert.deepEqual(list, [0, 1, 2, 3])
  for (const counts of places) for (const n of counts) assert.ok(Math.abs(n - 2_000) < 300, JSON.stringify(places))
})

test('a fork is repeatable, and drawing from it does not change what its origin draws', () => {
  const [one, two] = [seededRandom('s'), seededRandom('s')]
  const fork = one.fork('a')
  for (let i = 0; i < 10; i++) fork.next()
  assert.equal(one.next(), two.next())
  assert.equal(seededRandom('s').fork('a').next(), two.fork('a').next())
  assert.notEqual(two.fork('a').next(), two.fork('b').next())
})

test('of an empty list nothing is picked', () => {
  assert.equal(seededRandom('s').pick<string>([]), undefined)
})
