/** F9: what is appended can be read again; anything else is refused before it is in the file. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { systemClock } from '../../src/core/clock.ts'
import { JournalError, StepError } from '../../src/core/errors.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { SkillSpec } from '../../src/core/skill.ts'
import { runSkills } from '../../src/core/target.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { MemoryDisk } from '../fakes/disk.ts'
import { applied, planned, reverted, started } from './helpers.ts'

const FILE = '/j/r1.jsonl'
const SEED = Number(process.env['CHAOS_SEED'] ?? 0) || 9

const WELL: JournalRecord[] = [
  started(),
  planned(1),
  { type: 'step.recorded', step: 1, facts: { keys: [1] } },
  applied(1),
  { type: 'step.failed', step: 1, error: 'no' },
  { type: 'step.skipped', step: 1, reason: 'stale' },
  { type: 'undo.started', reason: 'over', outcome: 'completed' },
  { type: 'undo.started', step: 1, boot: 'b' },
  { type: 'undo.progress', step: 1, facts: {} },
  { type: 'step.revert_failed', step: 1, error: 'no' },
  { type: 'step.quarantined', step: 1, error: 'died', boot: 'b' },
  { type: 'step.released', step: 1 },
  reverted(1),
  { type: 'step.accepted', step: 1, note: 'ok' },
  { type: 'run.finished', outcome: 'completed' },
]

/** What targets and applications were seen to send where something else belongs. */
const odd = fc.oneof(
  ...[fc.constant(undefined), fc.constant(null), fc.constant(NaN), fc.constant(Infinity), fc.constant('')],
  ...[fc.integer(), fc.boolean(), fc.string(), fc.array(fc.jsonValue(), { maxLength: 3 }), fc.object({ maxDepth: 2 })],
)

test('F9: whatever is appended, in 4,000 drawn records with odd values in odd fields: refused, or read back undamaged', async (t) => {
  let [refused, taken] = [0, 0]
  const drawn = fc.constantFrom(...WELL).chain((record) =>
    fc
      .uniqueArray(fc.constantFrom(...Object.keys(record).filter((key) => key !== 'type')), { minLength: 0 })
      .chain((keys) => fc.tuple(...keys.map((key) => odd.map((value) => [key, value] as const))))
      .map((changes) => ({ ...record, ...Object.fromEntries(changes) })),
  )
  const check = async (record: JournalRecord): Promise<void> => {
    const disk = new MemoryDisk()
    const journal = await FileJournal.create(FILE, disk)
    if (record.type !== 'run.started') await journal.append(started(), { durable: true })
    try {
      await journal.append(record, { durable: true })
      taken++
    } catch (error) {
      assert.ok(error instanceof JournalError)
      refused++
    }
    await journal.append({ type: 'run.finished', outcome: 'failed' }, { durable: true })
    const state = await readJournal(FILE, disk)
    assert.deepEqual(state.damage, [])
    assert.equal(state.finished?.outcome, 'failed')
    for (const step of state.steps) await loadStep(FILE, step, disk)
    await journal.close()
  }
  await fc.assert(fc.asyncProperty(drawn, check), { numRuns: 4_000, seed: SEED })
  t.diagnostic(`${refused} refused, ${taken} read back`)
  assert.ok(refused > 1_000 && taken > 300)
})

const shape = z.strictObject({ pid: z.number(), keys: z.array(z.int()).optional(), waited: z.boolean().optional() })
type Shape = z.infer<typeof shape>

/** Plans, records and reports as progress what it is told to, whatever its format says. */
function careless(given: unknown, facts: unknown): SkillSpec<object, object, object, Shape> {
  return {
    ...{ name: 'fake.careless', summary: '', params: z.object({}), step: shape, version: 1 },
    ...{ scope: 'resource', phase: 'data', failsafe: 'none' },
    plan: () =>
      Promise.resolve({ steps: [{ resource: 'r', touches: ['r'], step: given as Shape, describe: 'careless' }] }),
    apply: ({ record }) => record(facts as Shape),
    inspect: () => Promise.resolve({ inEffect: 0, restored: 1, foreign: 0 }),
    revert: ({ progress }) => progress(facts as Shape),
    byHand: () => ({ lines: [], holdsValues: false }),
  }
}

test('F9: whatever a skill plans, records or reports as progress, in 2,000 drawn steps: refused, or its undo can read it', async (t) => {
  let [refused, taken] = [0, 0]
  const usually = <T>(well: fc.Arbitrary<T>) => fc.oneof({ arbitrary: well, weight: 6 }, { arbitrary: odd, weight: 1 })
  const well = { pid: usually(fc.integer()), keys: usually(fc.array(fc.integer())), waited: usually(fc.boolean()) }
  const values = fc.oneof(
    { arbitrary: fc.record(well, { requiredKeys: [] }), weight: 6 },
    { arbitrary: fc.record({ ...well, else: odd }), weight: 1 },
  )
  const seen = async (given: object, facts: object): Promise<void> => {
    const skills = runSkills([careless(given, facts)], () => ({}), () => Promise.resolve({})) // prettier-ignore
    const { signal } = new AbortController()
    const readable = (step: object): boolean => shape.safeParse(JSON.parse(JSON.stringify(step))).success
    const step = { pid: 1 }
    const written: object[] = []
    const write = (more: object): Promise<void> => Promise.resolve(void written.push(more))
    const common = { version: 1, mark: 'm', clock: systemClock, signal }
    const attempts = [
      skills.plan('fake.careless', {}, {
        ...{ resources: [], all: [], taken: new Set<string>(), mayPick: () => 1, soakMs: 1, signal },
        random: seededRandom('s'),
      }).then(({ steps }) => written.push({ ...steps[0]?.step })), // prettier-ignore
      skills.apply('fake.careless', step, { ...common, heldMs: 1, record: write, hold: () => undefined }),
      skills.revert('fake.careless', step, { ...common, progress: write }),
    ]
    for (const attempt of await Promise.allSettled(attempts)) {
      if (attempt.status === 'fulfilled') taken++
      else {
        assert.ok(attempt.reason instanceof StepError, String(attempt.reason))
        refused++
      }
    }
    for (const one of written) assert.ok(readable(one) || readable({ ...step, ...one }), JSON.stringify(one))
  }
  await fc.assert(fc.asyncProperty(values, values, seen), { numRuns: 2_000, seed: SEED })
  t.diagnostic(`${refused} refused, ${taken} written`)
  assert.ok(refused > 500 && taken > 100)
})
