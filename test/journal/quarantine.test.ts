import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fold, pendingSteps } from '../../src/journal/journal.ts'
import type { JournalRecord, RunState, StepState } from '../../src/journal/journal.ts'
import { hasDied, whyNotTried } from '../../src/journal/quarantine.ts'
import { planned, started } from './helpers.ts'

const RECOVERS: JournalRecord = { type: 'undo.started', reason: 'recovery', outcome: 'aborted' }
const tries = (step: number, boot = 'b1'): JournalRecord => ({ type: 'undo.started', step, boot })
const fails = (step: number): JournalRecord => ({ type: 'step.revert_failed', step, error: 'permission denied' })
const released = (step: number): JournalRecord => ({ type: 'step.released', step })
/** A process that begins to undo, comes to the step, and is never heard of again. */
const dies = (step: number, boot = 'b1'): JournalRecord[] => [RECOVERS, tries(step, boot)]

const emptyState = (): RunState => ({ run: 'r1', steps: [], damage: [] })

function after(...records: (JournalRecord | JournalRecord[])[]): StepState[] {
  const state = emptyState()
  for (const record of [started(), planned(1), planned(2), ...records.flat(), RECOVERS])
    fold(state, { ...record, at: '2026-11-25T00:00:00.000Z' })
  assert.equal(pendingSteps(state).length, 2)
  return state.steps
}

const why = (records: (JournalRecord | JournalRecord[])[], boot?: string): (string | undefined)[] =>
  after(...records).map((step) => whyNotTried(step, boot))

test('the third death in one boot quarantines that step and no other', () => {
  assert.deepEqual(why([dies(2), dies(2)], 'b1'), [undefined, undefined])
  const [first, second] = why([dies(2), dies(2), dies(2)], 'b1')
  assert.equal(first, undefined)
  assert.match(second ?? '', /^quarantined: its undo has ended its worker 3 times since this machine was started/)
})

test('an attempt that ended by itself is no death, and takes none away', () => {
  assert.deepEqual(why([dies(1), RECOVERS, tries(1), fails(1), dies(1)], 'b1'), [undefined, undefined])
  const [first] = why([dies(1), RECOVERS, tries(1), fails(1), dies(1), dies(1)], 'b1')
  assert.match(first ?? '', /3 times.*the last error that it could report was: permission denied/)
})

test('a recovery that fails before it comes to the step does not forgive its death', () => {
  const neverReached = [RECOVERS, fails(1)]
  assert.notEqual(why([dies(1), neverReached, dies(1), neverReached, dies(1), neverReached], 'b1')[0], undefined)
})

test('deaths in another boot of the machine do not count, and neither does a quarantine of then', () => {
  assert.equal(why([dies(1), dies(1), dies(1, 'b2')], 'b2')[0], undefined)
  const quarantine: JournalRecord = { type: 'step.quarantined', step: 1, error: 'killed', boot: 'b1' }
  const records = [dies(1), dies(1), dies(1), RECOVERS, quarantine]
  assert.equal(why(records, 'b1')[0], 'killed')
  assert.equal(why(records, 'b2')[0], undefined)
  assert.equal(after(...records, dies(1, 'b2'))[0]?.quarantined, undefined, 'it has been tried since')
})

test('where the machine has no boot id everything is tried', () => {
  const nameless: JournalRecord = { type: 'undo.started', step: 1 }
  assert.equal(why([RECOVERS, nameless, RECOVERS, nameless, RECOVERS, nameless])[0], undefined)
  assert.equal(why([dies(1), dies(1), dies(1)])[0], undefined)
})

test('a released step is tried again, and one more death quarantines it again', () => {
  const quarantine: JournalRecord = { type: 'step.quarantined', step: 1, error: 'killed', boot: 'b1' }
  const records = [dies(1), dies(1), dies(1), RECOVERS, quarantine]
  assert.ok(hasDied(after(...records)[0]!))
  assert.equal(why([...records, released(1)], 'b1')[0], undefined)
  assert.equal(why([...records, released(1), RECOVERS, tries(1), fails(1)], 'b1')[0], undefined)
  assert.match(why([...records, released(1), dies(1)], 'b1')[0] ?? '', /3 times/)
  assert.equal(why([dies(1), dies(1), dies(1), released(1)], 'b1')[0], undefined, 'released before it was recorded')
})

test('an undo.started of a step does not say what the run has come to', () => {
  const state = emptyState()
  for (const record of [started(), planned(1), tries(1)]) fold(state, { ...record, at: '2026-11-25T00:00:00.000Z' })
  assert.equal(state.undo, undefined)
})
