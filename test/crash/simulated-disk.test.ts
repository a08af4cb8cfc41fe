/** The journal on a simulated disk that loses power, fails or fills up at every operation: nothing may be left behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Tally } from './disk-search.ts'

/** Crash states at least; `CHAOS_CRASH_STATES=1000000` where somebody has the time. */
const STATES = Number(process.env['CHAOS_CRASH_STATES'] ?? 50_000)
const SEED = process.env['CHAOS_SEED'] ?? 'disk'
const SEARCH = fileURLToPath(new URL('disk-search.ts', import.meta.url))

async function search(mode: string, states = 0): Promise<Tally> {
  const args = ['--import', './scripts/ts.mjs', SEARCH, mode, `${states}`, SEED]
  const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 28 })
  return JSON.parse(stdout) as Tally
}

test(
  `a simulated disk that loses power or fails at every operation leaves nothing behind in ${STATES} crash states`,
  { timeout: 60 * 60_000 },
  async (t) => {
    // Every cut, every torn byte: always the same number. The rest is made up by cuts on top of failures.
    const [cuts, faults] = await Promise.all([search('cuts'), search('faults', STATES / 2)])
    for (const [name, tally] of Object.entries({ cuts, faults })) {
      const { states, runs, damaged, violations } = tally
      t.diagnostic(
        `${name}: ${states} states, ${runs} runs on a failing disk, ${violations.length} violations, ${damaged} that ask a person to look`,
      )
    }
    const states = cuts.states + faults.states
    const violations = [...cuts.violations, ...faults.violations]
    t.diagnostic(`simulated crash states: ${states}, violations: ${violations.length}`)
    assert.deepEqual(violations.slice(0, 5), [])
    assert.ok(states >= STATES, `${states} states`)
  },
)

for (const lazy of ['bytes', 'names']) {
  test(`the search finds what is left behind where syncing ${lazy} does nothing`, async (t) => {
    const { violations } = await search(lazy)
    t.diagnostic(`${violations.length} violations`)
    assert.ok(violations.length > 0)
  })
}
