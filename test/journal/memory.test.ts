import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import { planned, started, temporaryFolder } from './helpers.ts'

const STEPS = 600
const PAYLOAD = 100_000

test('of a journal of 60 MB less than a twentieth is kept in memory once it is read', async (t) => {
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
  const before = await usedAfter(collect, 0)
  const state = await readJournal(file)
  const limit = size / 20
  const kept = (await usedAfter(collect, before + limit)) - before
  assert.equal(pendingSteps(state).length, STEPS)
  assert.ok(kept < limit, `${kept} bytes are kept of ${size}`)
  assert.deepEqual(await loadStep(file, state.steps[STEPS - 1]!), { step: STEPS, rows: 'r'.repeat(PAYLOAD) })
})

/**
 * Bytes in use after collections. Node frees buffers on a thread of its own and ends a stream in a later turn of the loop, so
 * one collection may still see what nothing holds any more: it is repeated, ten times at most, until `enough` is reached.
 */
async function usedAfter(collect: () => void, enough: number): Promise<number> {
  let least = Infinity
  for (let turn = 0; turn < 10 && least > enough; turn++) {
    await setTimeout(turn * 10)
    collect()
    const { heapUsed, external } = process.memoryUsage()
    least = Math.min(least, heapUsed + external)
  }
  return least
}

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
