/** Fifty places in processes of their own, four of which are in trouble when the undo begins: they alone are residue. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import type { EventBody } from '../../src/core/events.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { fakeExperiment } from '../fakes/agent.ts'
import { PlaceProcesses } from '../fakes/place-processes.ts'

const PLACES = 50
/** How soon the places without trouble are undone; ten times of it may pass on a busy machine. */
const GOAL_MS = 2_000

test(
  'one place dead, one installed anew, one that answers after 20 s, one that refuses: the others are undone at once, and all of them later',
  { timeout: 5 * 60_000 },
  async (t) => {
    const places = new PlaceProcesses(PLACES)
    const folder = mkdtempSync(join(tmpdir(), 'chaos-test-'))
    t.after(async () => {
      await places.end()
      rmSync(folder, { recursive: true, force: true })
    })
    await places.startAll()
    const state = await openStateDir(folder)
    const [dead, anew, slow, stubborn] = ['p07', 'p13', 'p21', 'p34'] as const
    const troubled: string[] = [dead, anew, slow, stubborn]
    const at = new Map<string, number>()
    const { target } = places
    const common = { ...state, run: 'r1', target, clock: systemClock, signal: new AbortController().signal }
    let rollback = 0
    const emit = (event: EventBody): void => {
      if (event.type === 'run.phase' && event.phase === 'quiesce') rollback = performance.now()
      if (event.type === 'step.reverted') at.set(event.step.resource, performance.now() - rollback)
      if (event.type === 'run.phase' && event.phase === 'soak') void inTrouble()
    }
    const inTrouble = async (): Promise<void> => {
      await Promise.all([places.kill(dead), places.kill(anew)])
      await places.start(anew, 'another machine')
      await places.how(slow, { slow_ms: 20_000, refuses: false })
      await places.how(stubborn, { slow_ms: 0, refuses: true })
    }
    const report = await runExperiment({
      ...common,
      experiment: fakeExperiment([{ skill_name: 'places.write' }], {
        ...{ target: 'places', target_config: { folder: places.folder }, duration_ms: 4_000 },
      }),
      ...{ seed: 's', emit, claim: () => Promise.resolve({ waited: false }) },
    })
    const times = [...at.values()].sort((a, b) => a - b)
    const last = times.at(-1) ?? Infinity
    t.diagnostic(
      `${times.length} of ${PLACES} places undone, the last ${Math.round(last)} ms after the rollback began (goal ${GOAL_MS} ms)`,
    )
    for (const { resource, error } of report.residue) t.diagnostic(`residue: ${resource}: ${error}`)
    assert.deepEqual(
      [report.outcome, report.exit_code, report.residue.map(({ resource }) => resource).sort()],
      ['completed', 4, troubled.map((name) => `${name}/value`)],
    )
    assert.equal(times.length, PLACES - troubled.length)
    assert.ok(last < GOAL_MS * 10, `${last} ms`)
    for (const name of places.names)
      assert.equal(places.valueOf(name), troubled.includes(name) ? 'ours' : 'as it was', name)
    assert.equal(places.valueOf('another machine'), 'as it was')

    // They come back, each as it was when it went.
    await places.kill(anew)
    await Promise.all([places.start(dead), places.start(anew)])
    for (const name of [slow, stubborn]) await places.how(name, { slow_ms: 0, refuses: false })
    const recovered = await recoverRun({
      ...common,
      ...{ targetConfigs: [{ folder: places.folder }], noProgressMs: 30_000, emit: () => undefined },
    })
    assert.deepEqual([recovered.residue, recovered.exit_code], [[], 0])
    for (const name of places.names) assert.equal(places.valueOf(name), 'as it was', name)
    assert.deepEqual(await state.runs.list(), [])
  },
)
