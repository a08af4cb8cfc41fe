/** The whole promise against a model of it: anything may happen, in any order; then nothing may be left, or not be named. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seedOfCommit } from '../seed.ts'
import { BUGS } from './bugs.ts'
import { KINDS, operation } from './operations.ts'
import { search, seedNumber, textOf } from './search.ts'
import type { Tally } from './search.ts'
import { runSequence } from './sequence.ts'

/** Sequences at most; `CHAOS_MODEL_RUNS=20000` where somebody has the time. */
const GIVEN = process.env['CHAOS_MODEL_RUNS']
const RUNS = Number(GIVEN ?? 1_000)
/** A busy machine runs fewer, unless somebody wants a number. */
const MINUTES = GIVEN === undefined ? 0.8 : 600
const seed = seedNumber(process.env['CHAOS_SEED'] ?? seedOfCommit())
/** With the seed, what a failure prints: that very sequence, once more. */
const path = process.env['CHAOS_PATH']
/** Fewer would say nothing of the kinds that come seldom. */
const LEAST = 50
/** What the check of the model itself needs, whatever the commit is. */
const BUG_SEED = 1

test(
  `whatever happens in a sequence of crashes, faults, strangers and operators, nothing is left behind or unnamed (seed ${seed})`,
  { timeout: 24 * 60 * 60_000 },
  async (t) => {
    const begun = performance.now()
    const amount = { seed, runs: RUNS, ms: MINUTES * 60_000, ...(path === undefined ? {} : { path }) }
    const { tally, failure } = await search(amount)
    t.diagnostic(`${tally.sequences} sequences in ${Math.round((performance.now() - begun) / 1000)} s: ${sumOf(tally)}`)
    t.diagnostic(kindsOf(tally))
    assert.equal(failure && textOf(failure), undefined)
    if (path !== undefined) return
    assert.ok(tally.sequences >= Math.min(RUNS, LEAST), `only ${tally.sequences} sequences`)
    if (tally.sequences < LEAST) return
    const missing = KINDS.filter((kind) => !tally.operations.has(kind))
    assert.deepEqual(missing, [], 'kinds that never occurred')
    for (const [kind, { met, trap }] of tally.operations) assert.ok(!trap || met > 0, `${kind} has never sprung`)
    assert.ok(tally.crashed > 0 && tally.withResidue > 0 && tally.kept > 0, sumOf(tally))
  },
)

test('a sequence comes out the same every time, so that a failure can be seen again', async () => {
  const arbitrary = fc.array(operation, { minLength: 8, maxLength: 16, size: 'max' })
  for (const operations of fc.sample(arbitrary, { numRuns: 12, seed })) {
    const [first, second] = [await runSequence(operations), await runSequence(operations)]
    assert.equal(first.fingerprint, second.fingerprint, JSON.stringify(operations))
  }
})

for (const [name, bug] of Object.entries(BUGS)) {
  test(`the model finds it when ${name}`, { timeout: 20 * 60_000 }, async (t) => {
    const { tally, failure } = await search({ seed: BUG_SEED, runs: 1_000, ms: 5 * 60_000, longest: 8 }, bug)
    assert.ok(failure, `not found in ${tally.sequences} sequences`)
    t.diagnostic(
      `${failure.operations.length} operations (shrunk from ${failure.from}), sequence ${tally.sequences}: ${failure.violations[0] ?? ''}`,
    )
    t.diagnostic(failure.operations.map((op) => JSON.stringify(op)).join(' '))
  })
}

function sumOf({ crashed, crashes, runs, withResidue, kept, accepted, moved }: Tally): string {
  const words = `${accepted} journals given up and ${moved} runs handed over by an operator`
  return `${crashed} met one of ${crashes} crashes; ${runs} runs, ${withResidue} reports with residue, ${kept} values of strangers kept, ${words}`
}

function kindsOf({ operations }: Tally): string {
  const kinds = KINDS.map((kind) => {
    const { drawn = 0, met = 0, trap = false } = operations.get(kind) ?? {}
    return `${kind} ${drawn}${trap ? ` (${met} sprung)` : ''}`
  })
  return kinds.join(', ')
}
