/** A run's memory does not grow with its rows. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { measureMemory } from '../../bench/memory.ts'

/** Peaks are read from there. */
const procfs = existsSync('/proc/self/status')
const MOST = 1.5

test(
  'a run that inserts and undoes 1,000,000 rows takes at most 1.5 times the memory of one with 10,000',
  { skip: procfs ? false : 'there is no /proc here to read peaks of memory from', timeout: 300_000 },
  async () => {
    const { few, many } = await measureMemory(1)
    for (const process of ['worker', 'supervisor'] as const) {
      const [little, much] = [few[0]?.[process] ?? 0, many[0]?.[process] ?? 0]
      assert.ok(little > 0, `the ${process} of the small run was seen`)
      const ratio = much / little
      console.log(`${process}: ${much.toFixed(1)} MB beside ${little.toFixed(1)} MB, ratio ${ratio.toFixed(2)}`)
      assert.ok(ratio <= MOST, `the ${process} took ${ratio.toFixed(2)} times the memory`)
    }
  },
)
