import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FileJournal, loadStep, readJournal } from '../../src/journal/file-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { planned, started, temporaryFolder } from './helpers.ts'

const STEPS = 600
const PAYLOAD = 100_000

test('of a journal of 60 MB less than a fifth is kept in memory once it is read', async (t) => {
  const file = join(temporaryFolder(t), 'r1.jsonl')
  const journal = await FileJournal.create(file)
  await journal.append(started())
  for (let step = 1; step <= STEPS; step++) {
    await journal.append(planned(step, { step, rows: 'r'.repeat(PAYLOAD) }))
  }
  await journal.close()
  const size = statSync(file).size
  assert.ok(size > STEPS * PAYLOAD)
  const collect = collector()
  collect()
  const before = used()
  const state = await readJournal(file)
  collect()
  const kept = used() - before
  assert.equal(pendingSteps(state).length, STEPS)
  assert.ok(kept < size / 5, `${kept} bytes are kept of ${size}`)
  assert.deepEqual(await loadStep(file, state.steps[STEPS - 1]!), { step: STEPS, rows: 'r'.repeat(PAYLOAD) })
})

function used(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
