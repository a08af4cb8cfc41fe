/** Every file in test/bad-config against the table of what must be said about it. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { targets } from '../../src/targets/index.ts'
import { fakeDatabase } from '../fakes/config-target.ts'

interface Expected {
  file: string
  exit: number
  /** How many problems there are; the other fields are about the first. */
  problems: number
  line: number
  column: number
  path: string
  contains: string[]
}

const folder = fileURLToPath(new URL('../bad-config/', import.meta.url))
const table = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected[]
const connected: unknown[] = []

test('every bad file is in the table', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  assert.deepEqual(table.map((row) => row.file).sort(), files.sort())
  assert.ok(files.length >= 22)
})

for (const [registry, known] of [
  ['fake', [fakeDatabase(connected)]],
  ['real', targets],
] as const) {
  for (const row of table) {
    test(`${row.file} is refused at ${row.line}:${row.column} with the remedy (${registry} targets)`, async () => {
      const error = await loadConfig(join(folder, row.file), { targets: known, env: {} }).catch((e: unknown) => e)
      assert.ok(error instanceof ConfigError)
      assert.equal(error.exitCode, row.exit)
      assert.equal(error.problems.length, row.problems, error.message)
      const [first] = error.problems
      assert.ok(first)
      assert.deepEqual([first.line, first.column, first.path], [row.line, row.column, row.path])
      for (const part of row.contains) assert.ok(first.message.includes(part), `${part} is not in: ${first.message}`)
      assert.ok(!error.message.includes('hunter2'), error.message)
      assert.deepEqual(connected, [])
    })
  }
}
