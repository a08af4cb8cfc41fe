/** Faults that are not errors: wrong data, missing data, held resources. The application's own objects are never touched. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { chaosMonkey, ResourceExhaustedError } from '../../src/faults/index.ts'
import type { FaultConfig } from '../../src/faults/index.ts'
import { enabled, errorOf } from './helpers.ts'

const chaos = enabled()
const PRODUCT = {
  id: 17,
  name: 'Green tea',
  price: 4.5,
  inStock: true,
  since: '2024-03-01',
  tags: ['tea', 'green'],
  maker: { city: 'Kyoto', country: 'Japan' },
}
type Product = typeof PRODUCT

/** What the caller gets under the fault, for many seeds. */
function answers<T>(fault: FaultConfig, answer: T, seeds = 50): T[] {
  return Array.from({ length: seeds }, (_, seed) => chaosMonkey({ ...fault, chaos, seed })(() => answer)())
}

function corrupt<T>(mode: FaultConfig['mode'] & string, answer: T): T[] {
  const before = JSON.stringify(answer)
  const all = answers({ fault_type: 'data_corruption', mode }, answer)
  assert.equal(JSON.stringify(answer), before, 'the original was changed')
  return all
}

describe('data_corruption', () => {
  test('wrong_values keeps every type and format, and changes at least one value', () => {
    for (const got of corrupt('wrong_values', PRODUCT)) {
      assert.notDeepEqual(got, PRODUCT)
      assert.deepEqual(shape(got), shape(PRODUCT))
      assert.ok(Number.isInteger(got.id) && got.id > 0, String(got.id))
      assert.match(got.since, /^\d{4}-\d\d-\d\d$/)
    }
  })

  test('wrong_values inside JSON text gives JSON text', () => {
    for (const got of corrupt('wrong_values', JSON.stringify(PRODUCT))) {
      assert.deepEqual(shape(JSON.parse(got) as Product), shape(PRODUCT))
      assert.notDeepEqual(JSON.parse(got), PRODUCT)
    }
  })

  test('swap_fields exchanges two values of one type in one map', () => {
    for (const got of corrupt('swap_fields', PRODUCT)) {
      assert.notDeepEqual(got, PRODUCT)
      assert.deepEqual(values(got).sort(), values(PRODUCT).sort())
      assert.deepEqual(shape(got), shape(PRODUCT))
    }
  })

  test('truncate makes JSON text that cannot be parsed, also inside an answer', () => {
    for (const got of corrupt('truncate', JSON.stringify(PRODUCT))) assert.throws(() => JSON.parse(got) as unknown)
    const content = { content: [{ type: 'text', text: JSON.stringify(PRODUCT) }] }
    for (const got of corrupt('truncate', content))
      assert.throws(() => JSON.parse(got.content[0]?.text ?? '') as unknown)
  })

  test('stale answers with the call before, also with one that was let through', () => {
    let n = 0
    const next = chaosMonkey({ fault_type: 'data_corruption', mode: 'stale', every_nth: 3, chaos })(() => ({ n: ++n }))
    assert.deepEqual(
      Array.from({ length: 6 }, () => next().n),
      [1, 2, 2, 4, 5, 5],
    )
  })

  test('bit_flip changes one bit of a text, of bytes, or of a value inside', () => {
    const bits = (a: Uint8Array, b: Uint8Array) =>
      a.reduce((sum, byte, i) => sum + (byte ^ (b[i] ?? 0)).toString(2).replaceAll('0', '').length, 0)
    const bytes = new Uint8Array([1, 2, 3, 250])
    for (const got of answers({ fault_type: 'data_corruption', mode: 'bit_flip' }, bytes))
      assert.equal(bits(got, bytes), 1)
    for (const got of corrupt('bit_flip', 'hello')) assert.equal(bits(Buffer.from(got), Buffer.from('hello')), 1)
    for (const got of corrupt('bit_flip', PRODUCT)) assert.notDeepEqual(got, PRODUCT)
  })

  test('what cannot be made wrong is left as it is, and is not counted', () => {
    const fired: unknown[] = []
    for (const answer of [undefined, null, () => 1, new URL('http://x'), {}, []]) {
      const fn = chaosMonkey({ fault_type: 'data_corruption', mode: 'swap_fields', chaos, fired: (f) => fired.push(f) })
      assert.equal(fn(() => answer)(), answer)
    }
    assert.deepEqual(fired, [])
  })

  test('data that contains itself, or is very deep or very large, is survived', () => {
    const loop: Record<string, unknown> = { a: 1, b: 2 }
    loop['self'] = loop
    let deep: unknown = 1
    for (let i = 0; i < 5000; i++) deep = [deep]
    const large = Array.from({ length: 200_000 }, (_, i) => i)
    for (const mode of ['wrong_values', 'swap_fields', 'bit_flip'] as const)
      for (const answer of [loop, deep, large]) answers({ fault_type: 'data_corruption', mode }, answer, 2)
  })
})

describe('partial_failure, mode drop', () => {
  const drop: FaultConfig = { fault_type: 'partial_failure', mode: 'drop' }

  test('half of a list is missing, in order', () => {
    const list = Array.from({ length: 10 }, (_, i) => i)
    for (const got of answers(drop, list)) {
      assert.equal(got.length, 5)
      assert.deepEqual(
        got,
        [...got].sort((a, b) => a - b),
      )
    }
    assert.ok(new Set(answers(drop, list).map(String)).size > 5, 'always the same half')
    assert.equal(answers({ ...drop, keep: 0.9 }, [1])[0]?.length, 0)
  })

  test('fields of a map are missing, the others are right', () => {
    for (const got of answers(drop, PRODUCT) as Partial<Product>[]) {
      assert.ok(Object.keys(got).length < Object.keys(PRODUCT).length)
      for (const [name, value] of Object.entries(got)) assert.deepEqual(value, PRODUCT[name as keyof Product])
    }
  })

  test('text, bytes, sets and maps lose a part', () => {
    assert.equal(answers(drop, 'abcdef', 1)[0], 'abc')
    assert.equal(answers(drop, new Uint8Array(8), 1)[0]?.length, 4)
    assert.equal(answers(drop, new Set([1, 2, 3, 4]), 1)[0]?.size, 2)
    assert.equal(answers(drop, new Map([[1, 2]]), 1)[0]?.size, 0)
  })
})

describe('resource_exhaustion', () => {
  test('rate_limit is a 429 with retry-after', async () => {
    const fn = chaosMonkey({ fault_type: 'resource_exhaustion', mode: 'rate_limit', retry_after_seconds: 7, chaos })(
      () => 1,
    )
    const error = await errorOf(fn)
    assert.ok(error instanceof ResourceExhaustedError)
    assert.equal(error.status, 429)
    assert.deepEqual(error.headers, { 'retry-after': '7' })
  })

  test('hold_memory really holds memory for its time, up to the bound, without blocking', async () => {
    const own = enabled({ most_held_bytes: 40 * 2 ** 20 })
    const hold: FaultConfig = {
      fault_type: 'resource_exhaustion',
      mode: 'hold_memory',
      hold_bytes: 32 * 2 ** 20,
      duration_ms: 3000,
    }
    const fn = chaosMonkey({ ...hold, chaos: own })(async () => Promise.resolve('ok'))
    const before = process.memoryUsage().arrayBuffers
    assert.deepEqual(await Promise.all([fn(), fn()]), ['ok', 'ok'])
    while (own.memory.bytes < 40 * 2 ** 20) await sleep(5)
    assert.ok(process.memoryUsage().arrayBuffers - before >= 39 * 2 ** 20)
    await sleep(50)
    assert.equal(own.memory.bytes, 40 * 2 ** 20)
    const begun = performance.now()
    while (own.memory.bytes > 0 && performance.now() - begun < 10_000) await sleep(20)
    assert.equal(own.memory.bytes, 0)
  })

  test('hold_slots lets only so many calls run at once, and frees them however they end', async () => {
    const fn = chaosMonkey({ fault_type: 'resource_exhaustion', mode: 'hold_slots', slots: 2, chaos })(async (
      ms: number,
    ) => {
      await sleep(ms)
      if (ms === 21) throw new Error('own')
      return ms
    })
    const ends = await Promise.all([20, 21, 22].map((ms) => fn(ms).catch((e: unknown) => (e as Error).name)))
    assert.deepEqual(ends, [20, 'Error', 'ResourceExhaustedError'])
    assert.deepEqual(await Promise.all([fn(5), fn(6)]), [5, 6])
  })
})

/** The same structure with types in place of values. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, shape(v)]))
  return typeof value
}

function values(value: object): string[] {
  return Object.values(value).flatMap((v: unknown) =>
    typeof v === 'object' && v !== null ? values(v) : [JSON.stringify(v)],
  )
}
