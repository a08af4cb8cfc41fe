/** The journal fails while things are broken: nothing new is broken, everything is undone, and nobody calls it clean. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readJournal } from '../../src/journal/file-journal.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { diskError, watched } from '../fakes/disk.ts'
import type { Operation } from '../fakes/disk.ts'
import { makeRig, nodeDisk } from './helpers.ts'

const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const three = fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }])

for (const op of ['write', 'datasync'] as const) {
  test(`whichever ${op} of the journal fails first, no step is applied after it, all is undone, exit code 5, and recovery ends it`, async (t) => {
    let n = 0
    for (let failing = 2; ; failing++) {
      const world = new FakeWorld()
      const rig = await makeRig(t, world)
      n = 0
      const disk = watched(nodeDisk, (now: Operation) => {
        if (now === op && ++n >= failing) {
          world.log.push('the disk breaks')
          throw diskError(op === 'write' ? 'ENOSPC' : 'EIO')
        }
      })
      const report = await rig.runOnDisk(three, disk)
      if (!world.log.includes('the disk breaks')) break
      const after = world.log.slice(world.log.indexOf('the disk breaks'))
      assert.ok(!after.some((l) => l.startsWith('apply')), `${failing}: ${after.join(', ')}`)
      assert.deepEqual([report.exit_code, report.residue, world.state], [5, [], CLEAN], `${failing}`)
      assert.ok(rig.events.some((e) => e.type === 'run.warning' && /ENOSPC|EIO/.test(e.message)))
      const recovered = await rig.recover()
      assert.deepEqual([recovered.residue, await rig.state.journals()], [[], []])
      assert.deepEqual(world.state, CLEAN)
    }
    assert.ok(n > 10, `${n} operations`)
  })
}

test('a report that cannot be written keeps the run open, with exit code 5', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const writeReport = (): Promise<void> => Promise.reject(new Error('no space left on device'))
  const report = await rig.run(three, { state: { ...rig.state, writeReport } })
  assert.deepEqual([report.exit_code, world.state], [5, CLEAN])
  const [open] = await rig.state.journals()
  assert.deepEqual([open?.started?.run, open?.finished], ['r1', undefined])
  assert.deepEqual((await rig.recover()).residue, [])
  assert.deepEqual(await rig.state.journals(), [])
})

test('a journal that cannot be read back when all is over is not a run that never began', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const { rmSync, mkdirSync } = await import('node:fs')
  world.on('apply c', async ({ go }) => {
    await go()
    rmSync(rig.file)
    mkdirSync(rig.file)
  })
  const report = await rig.run(three)
  assert.deepEqual([report.exit_code, report.outcome, report.residue.length], [5, 'completed', 1])
  assert.match(report.residue[0]?.error ?? '', /cannot read the journal/)
})

test('recovery with a journal that cannot be written undoes all the same, and the run stays open', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  await rig.run(three)
  world.off('revert b')
  const { renameSync, symlinkSync } = await import('node:fs')
  // A journal that is a link is read but not opened for writing.
  renameSync(rig.file, `${rig.file}.real`)
  symlinkSync(`${rig.file}.real`, rig.file)
  const report = await rig.recover()
  assert.deepEqual([report.exit_code, report.residue, world.state], [5, [], CLEAN])
  assert.equal((await readJournal(rig.file)).finished, undefined)
})
