/** The journal fails while things are broken: nothing new is broken, everything is undone, and nobody calls it clean. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readJournal } from '../../src/journal/read-journal.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { diskError, watched } from '../fakes/disk.ts'
import type { Operation } from '../fakes/disk.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { makeRig, nodeDisk } from './helpers.ts'

const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const three = fakeExperiment([{ params: { keys: ['a', 'b', 'c'] } }])

/** Fails every operation of that kind on the run's first journal file, from the nth on; on all its files with `everywhere`. */
function failing(op: Operation, nth: number, code: string, everywhere: boolean) {
  const seen = { count: 0, broke: false }
  const disk = watched(nodeDisk, (now, path) => {
    const hit = everywhere ? /\/journal(\/|$)/.test(path) : path.endsWith('/journal/r1.jsonl')
    const broken = everywhere && seen.broke && ['create', 'write', 'datasync', 'syncFolder', 'truncate'].includes(now)
    if (!hit || !((now === op && ++seen.count >= nth) || broken)) return
    seen.broke = true
    throw diskError(code)
  })
  return { disk, seen }
}

for (const [op, code] of [
  ['write', 'ENOSPC'],
  ['write', 'EDQUOT'],
  ['datasync', 'EIO'],
] as const) {
  test(`whichever ${op} of the journal fails with ${code} first, no step is applied after it, and the undo is recorded in a second file: exit code 5, nothing is left open`, async (t) => {
    let nth = 2
    for (; ; nth++) {
      const world = new FakeWorld()
      const rig = await makeRig(t, world)
      const { disk, seen } = failing(op, nth, code, false)
      let applied = 0
      for (const key of ['a', 'b', 'c']) world.on(`apply ${key}`, ({ go }) => (seen.broke ? applied++ : 0, go()))
      const report = await rig.runOnDisk(three, disk)
      if (!seen.broke) break
      assert.deepEqual([report.exit_code, report.residue, world.state, applied], [5, [], CLEAN, 0], `${nth}`)
      assert.ok(rig.events.some((e) => e.type === 'run.warning' && e.message.includes(code)))
      assert.deepEqual([await rig.state.runs.list(), await rig.state.secrets.read('r1')], [[], undefined], `${nth}`)
      assert.equal((await rig.state.history.read('r1'))?.residue.length, 0)
    }
    assert.ok(nth > 10, `${nth} operations`)
  })

  test(`when ${op} fails with ${code} in every file, all is undone all the same, exit code 5, and recovery ends the run`, async (t) => {
    let nth = 2
    for (; ; nth++) {
      const world = new FakeWorld()
      const rig = await makeRig(t, world)
      const { disk, seen } = failing(op, nth, code, true)
      const report = await rig.runOnDisk(three, disk)
      if (!seen.broke) break
      assert.deepEqual([report.exit_code, report.residue, world.state], [5, [], CLEAN], `${nth}`)
      const recovered = await rig.recover()
      assert.deepEqual([recovered.residue, await rig.state.runs.list()], [[], []], `${nth}`)
      assert.deepEqual(world.state, CLEAN)
    }
    assert.ok(nth > 10, `${nth} operations`)
  })
}

test('a report that cannot be written keeps the run open, with exit code 5', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const keep = (): Promise<void> => Promise.reject(new Error('no space left on device'))
  const report = await rig.run(three, { history: { ...rig.state.history, keep } })
  assert.deepEqual([report.exit_code, world.state], [5, CLEAN])
  const [open] = await rig.state.runs.list()
  assert.deepEqual([open?.started?.run, open?.finished], ['r1', undefined])
  assert.deepEqual((await rig.recover()).residue, [])
  assert.deepEqual(await rig.state.runs.list(), [])
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

for (const code of ['EROFS', 'EIO', 'ENOSPC']) {
  test(`recovery with a journal that cannot be written (${code}) undoes all the same, and the run stays open`, async (t) => {
    const world = new FakeWorld().on('revert b', () => Promise.resolve())
    const rig = await makeRig(t, world)
    await rig.run(three)
    world.off('revert b')
    const disk = watched(nodeDisk, (op) => {
      if (['create', 'write', 'datasync', 'truncate', 'rename', 'remove'].includes(op)) throw diskError(code)
    })
    const state = await openStateDir(rig.state.path, { disk })
    const report = await rig.recover(state)
    assert.deepEqual([report.exit_code, report.residue, world.state], [5, [], CLEAN])
    assert.equal((await readJournal(rig.file)).finished, undefined)
    assert.deepEqual([(await rig.recover()).residue, await rig.state.runs.list()], [[], []])
  })
}
