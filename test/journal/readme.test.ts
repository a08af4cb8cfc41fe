import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readJournal } from '../../src/journal/read-journal.ts'
import { temporaryFolder } from './helpers.ts'

const README = readFileSync(new URL('../../src/journal/README.md', import.meta.url), 'utf8')

test('the example in the README is a whole, undamaged, finished journal', async (t) => {
  const lines = README.split('\n').filter((line) => /^\d+ [0-9a-f]{8} [0-9a-f]{8} \d+ \{/.test(line))
  const file = join(temporaryFolder(t), 'r.jsonl')
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''))
  const state = await readJournal(file)
  assert.deepEqual([state.damage, state.tornBytes, state.lastSeq], [[], 0, 7])
  assert.deepEqual(
    state.steps.map((s) => s.state),
    ['reverted'],
  )
  assert.equal(state.finished?.outcome, 'completed')
})

test('every type of record that the code knows has its line in the README', () => {
  const source = readFileSync(new URL('../../src/journal/journal.ts', import.meta.url), 'utf8')
  const types = new Set(source.match(/'(?:run|step|undo)\.[a-z_]+'/g))
  assert.ok(types.size >= 13, `${types.size} types`)
  for (const type of types) assert.ok(README.includes(`| \`${type.slice(1, -1)}\` |`), type)
})
