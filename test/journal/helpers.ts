/** Journals to write and read in a folder that goes with the test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { JournalRecord, RunStarted, StepPlanned } from '../../src/journal/journal.ts'

export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function started(more: Partial<RunStarted> = {}): RunStarted {
  return {
    type: 'run.started',
    format: 1,
    run: 'r1',
    install: 'abcdef',
    experiment: 'an experiment',
    target: 'fake',
    endpoint: 'fake://one',
    definition: {},
    seed: 's',
    identity: { scopes: { server: 'one', database: 'one/db', resource: 'one/db' }, parts: { id: 'one' } },
    soak_ms: 1000,
    notes: [],
    ...more,
  }
}

export function planned(step: number, data: object = { key: `k${step}` }): StepPlanned {
  return {
    type: 'step.planned',
    step,
    skill: 'fake.write',
    version: 1,
    resource: `db.k${step}`,
    touches: [`db.k${step}`],
    describe: `write k${step}`,
    mark: `chaos-abcdef-r1-${step}`,
    data,
  }
}

export function applied(step: number): JournalRecord {
  return { type: 'step.applied', step, effect: { inEffect: 1, restored: 0, foreign: 0 }, ms: 5 }
}

export function reverted(step: number): JournalRecord {
  return { type: 'step.reverted', step, kept: 0, names: [], ms: 5 }
}
