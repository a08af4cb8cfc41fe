/** Rows from a recipe: pure, repeatable, and unique where a key wants it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { copyText } from '../../../src/targets/database/postgres/copy-text.ts'
import { makeColumn, makeRows } from '../../../src/targets/database/rows/batch.ts'
import type { Picking, Recipe, Source, Value } from '../../../src/targets/database/rows/batch.ts'

const text: Source = {
  ...{ from: 'value', type: { name: 'text' }, form: 'plain', unique: true, run: 'abcdef', nulls: 0 },
}
const recipe: Recipe = {
  columns: [
    { name: 'id', type: 'text', source: text },
    { name: 'note', type: 'text', source: { ...text, unique: false, nulls: 0.1 } },
    { name: 'kind', type: 'text', source: { from: 'pool', pool: 0, at: 1 } },
    { name: 'parent', type: 'text', source: { from: 'parent', parent: 0, at: 0 } },
  ],
  pools: [
    [
      ['a', 'x'],
      ['b', null],
    ],
  ],
  picks: [{ how: 'any', nulls: 0.1, optional: true }],
}
const batch = { seed: 's', batch: 0, first: 0, rows: 500 }
const parents = [[['p1'], ['p2'], ['p3']]]

describe('rows of a recipe', () => {
  test('are the same for the same seed and others for another batch', () => {
    assert.deepEqual([...makeRows(recipe, batch, parents)], [...makeRows(recipe, batch, parents)])
    assert.notDeepEqual([...makeRows(recipe, batch, parents)], [...makeRows(recipe, { ...batch, batch: 1 }, parents)])
  })

  test('have unique values across batches', () => {
    const ids = [0, 1, 2].flatMap((n) => [...makeRows(recipe, { ...batch, batch: n, first: n * 500 }, parents)])
    assert.equal(new Set(ids.map(([id]) => id)).size, 1500)
  })

  test('have some NULLs where they may, and none elsewhere', () => {
    const rows = [...makeRows(recipe, batch, parents)]
    const nulls = [0, 1, 2, 3].map((i) => rows.filter((row) => row[i] === null).length)
    assert.equal(nulls[0], 0)
    for (const n of nulls.slice(1)) assert.ok(n > 10 && n < 400, nulls.join())
  })

  test('have values that can be made again column by column', () => {
    const notes = [...makeRows(recipe, batch, parents)].map((row) => row[1])
    assert.deepEqual([...makeColumn(recipe, batch, 'note')], notes)
  })

  test('that need a parent each use every parent once and end with the last', () => {
    const picks: Picking[] = [{ how: 'each', nulls: 0, optional: false }]
    const rows = [...makeRows({ ...recipe, picks }, batch, parents)]
    assert.deepEqual(
      rows.map((row) => row[3]),
      ['p1', 'p2', 'p3'],
    )
    assert.deepEqual([...makeRows({ ...recipe, picks }, batch, [[]])], [])
  })

  test('that are pairs of parents are all different, up to every pair there is', () => {
    const pair = (parent: number): Source => ({ from: 'parent', parent, at: 0 })
    const both: Recipe = {
      columns: [0, 1].map((i) => ({ name: `c${i}`, type: 'text', source: pair(i) })),
      pools: [],
      picks: [0, 1].map((): Picking => ({ how: 'diagonal', nulls: 0, optional: false })),
    }
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (n, m) => {
        const samples = [n, m].map((size) => Array.from({ length: size }, (_, i) => [String(i)]))
        const rows = [...makeRows(both, { ...batch, rows: 1000 }, samples)].map(String)
        assert.equal(rows.length, n * m)
        assert.equal(new Set(rows).size, n * m)
      }),
    )
  })

  test('leave out a reference where the tuple of a CHECK has none', () => {
    const picks: Picking[] = [{ how: 'any', nulls: 0, optional: true, gate: { pool: 0, at: 1 } }]
    for (const [, , kind, parent] of makeRows({ ...recipe, picks }, batch, parents)) {
      assert.equal(parent === null, kind === null)
    }
  })
})

/** As the server reads it. */
function parse(copied: string): Value[][] {
  const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\' }
  const value = (field: string): Value =>
    field === '\\N' ? null : field.replaceAll(/\\(.)/g, (_, c: string) => escapes[c] ?? c)
  return copied
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split('\t').map(value))
}

test('COPY text brings every value back, in chunks of about 64 kB', () => {
  const value = fc.option(fc.oneof(fc.string(), fc.constantFrom('\\N', '\\.', '\\', '\t', '\n', '\r\n', '')), {
    nil: null,
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value), { minLength: 1 }), (rows) => {
      assert.deepEqual(parse([...copyText(rows)].join('')), rows)
    }),
  )
  const chunks = [...copyText(Array.from({ length: 20_000 }, (_, i) => [String(i), 'x'.repeat(20)]))]
  assert.ok(chunks.length > 5)
  assert.ok(chunks.every((chunk) => chunk.length < 70_000 && chunk.endsWith('\n')))
})
