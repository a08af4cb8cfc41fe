/** The undo of each database skill is impossible; a person runs what the page says, on a real server, and closes the run. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pageLines } from '../../src/cli/recover/page.ts'
import { systemClock } from '../../src/core/clock.ts'
import { RefusedError } from '../../src/core/errors.ts'
import type { Target } from '../../src/core/target.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import type { HandOver } from '../../src/engine/recover.ts'
import { runExperiment } from '../../src/engine/run.ts'
import { stuckRun } from '../../src/engine/stuck.ts'
import { mintRun } from '../../src/journal/names.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { database } from '../../src/targets/database/index.ts'
import { experimentOf } from '../crash/matrix.ts'
import { databaseWorld } from '../crash/worlds.ts'
import { runByHand } from '../fakes/by-hand.ts'

let world: Awaited<ReturnType<typeof databaseWorld>>
let state: StateDir
let folder: string

before(async () => {
  world = await databaseWorld()
  folder = mkdtempSync(join(tmpdir(), 'chaos-by-hand-'))
  state = await openStateDir(join(folder, 'state'))
})
after(async () => {
  await world.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Its undo is refused at once, and what ends sessions does nothing. */
const impossible: Target = {
  ...database,
  async connect(config, options) {
    const agent = await database.connect(config, options)
    const refuse = () => Promise.reject(new RefusedError('REFUSED_UNSUITABLE', 'it cannot be undone by us'))
    return { ...agent, revert: refuse, quiesce: () => Promise.resolve() }
  },
}

for (const skill of database.skills.map(({ name }) => name)) {
  for (const [how, handOver] of [
    ['--retry', { retry: {} }],
    ['--accept-residue', { accept_residue: { note: 'by hand' } }],
  ] as [string, HandOver][]) {
    test(`${skill}: what the page says puts it back, and ${how} closes the run`, { timeout: 5 * 60_000 }, async () => {
      const picture = await world.picture()
      const stop = new AbortController()
      const run = mintRun(Date.now())
      const report = await runExperiment({
        ...{ experiment: { ...experimentOf(skill, world), duration_ms: 60_000 }, target: impossible, ...state, run },
        ...{ seed: 'by hand', clock: systemClock, signal: stop.signal },
        claim: () => Promise.resolve({ waited: false }),
        emit: (event) => {
          if (event.type === 'run.phase' && event.phase === 'soak') stop.abort(new Error('enough'))
        },
      })
      assert.equal(report.exit_code, 4)
      const stuck = await stuckRun(state.runs, await state.runs.read(run), [database])
      const page = pageLines(stuck!, undefined).join('\n')
      for (const { by_hand, waits_for } of stuck!.steps) {
        // What is not in the page is in the file that it names; what waits is undone by us, once the others are.
        const shown = page.includes(by_hand.lines.join('\n'))
        assert.equal(shown, !by_hand.holdsValues && waits_for === undefined, page)
        assert.ok(shown || page.includes(waits_for === undefined ? '--by-hand undo-' : 'waits for'), page)
        await runByHand(by_hand.lines)
      }
      assert.deepEqual(await picture.residue(), [])
      const recovered = await recoverRun({
        ...{ ...state, run, target: database, targetConfigs: [world.target_config], noProgressMs: 30_000, handOver },
        ...{ clock: systemClock, signal: new AbortController().signal, emit: () => undefined },
      })
      assert.deepEqual([recovered.residue, await state.runs.list()], [[], []])
      assert.deepEqual(await picture.residue(), [])
    })
  }
}
