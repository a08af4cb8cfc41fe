/** A damaged journal: everything readable is undone, and only an operator's word ends the run. */
import { forgetLostSecrets, pruneState } from '../../src/journal/forget.ts'
import { acceptLoss } from '../../src/journal/accept-loss.ts'
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { makeRig } from './helpers.ts'

const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const ab = fakeExperiment([{ params: { keys: ['a', 'b'] } }])
const NOW = Date.UTC(2026, 0, 3)

/** A run that could not be undone, and whose journal is then damaged at a line. */
async function damaged(t: TestContext, line: number) {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  await rig.run(ab)
  const lines = readFileSync(rig.file, 'utf8').split(/(?<=\n)/)
  lines[line] = lines[line]!.replace(/"type":"./, '"type":"X')
  writeFileSync(rig.file, lines.join(''))
  return { rig, world, journal: join(rig.state.path, 'journal') }
}

test('a loss is not accepted while something readable is not undone', async (t) => {
  const { rig, world } = await damaged(t, 3)
  await assert.rejects(acceptLoss(rig.state, { run: 'r1', note: '', now: NOW }), {
    code: 'BLOCKED_BY_RESIDUE',
    message: /fake\.write b.*only what is unreadable/,
  })
  world.off('revert b')
  assert.deepEqual([(await rig.recover()).exit_code, world.state], [5, CLEAN])
  assert.equal((await rig.state.runs.list()).length, 1, 'it stays open without that word')
})

test('an accepted loss ends the run: its files are kept aside, its report says who took it on', async (t) => {
  const { rig, world, journal } = await damaged(t, 3)
  world.off('revert b')
  const recovered = await rig.recover()
  assert.match(recovered.reason ?? '', /damaged at byte \d+.*chaos recover --run r1 --accept-loss/)
  const before = readFileSync(rig.file)
  const { report, aside } = await acceptLoss(rig.state, { run: 'r1', note: 'looked at it by hand', now: NOW })
  assert.equal(aside[0], `${rig.file}.damaged-${NOW}`)
  assert.deepEqual(readFileSync(aside[0]), before)
  assert.match(
    report.notes.at(-1) ?? '',
    /accepted at 2026-01-03T.*r1\.jsonl at byte \d+ \(unreadable\).*looked at it by hand/,
  )
  assert.deepEqual(await rig.state.history.read('r1'), report)
  assert.deepEqual([await rig.state.runs.list(), await rig.state.secrets.read('r1')], [[], undefined])
  await pruneState(rig.state, 1000, NOW + 500)
  assert.equal(readdirSync(journal).length, 1)
  await pruneState(rig.state, 1000, NOW + 5000)
  assert.deepEqual(readdirSync(journal), [], 'it goes with old reports')
})

test('where the start is unreadable what else is readable is named in the report', async (t) => {
  const { rig } = await damaged(t, 0)
  await assert.rejects(rig.recover(), /has no start/)
  const { report } = await acceptLoss(rig.state, { run: 'r1', note: '', now: NOW })
  assert.ok(
    report.notes.some((note) => note === 'not undone, its target is not known: fake.write b'),
    report.notes.join('\n'),
  )
  assert.deepEqual(await rig.state.runs.list(), [])
})

test('a journal that is whole has no loss to accept', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  await rig.run(ab)
  await assert.rejects(acceptLoss(rig.state, { run: 'r1', note: '', now: NOW }), { code: 'REFUSED_UNSUITABLE' })
  assert.equal((await rig.recover({ noProgressMs: 1 })).residue.length, 1)
})

test('S1: a journal that cannot be read is not damaged, and is not given up', async (t) => {
  const rig = await makeRig(t, new FakeWorld())
  mkdirSync(rig.file)
  await rig.state.secrets.keep('r1', { password: 'p' })
  await assert.rejects(acceptLoss(rig.state, { run: 'r1', note: 'why', now: NOW }), {
    code: 'JOURNAL_READ',
    message: /not known to be damaged.*cannot be read.*EISDIR.*It is a folder: move it away/,
  })
  assert.deepEqual(readdirSync(join(rig.state.path, 'journal')), ['r1.jsonl'])
  assert.deepEqual(await rig.state.secrets.read('r1'), { password: 'p' })
  rmSync(rig.file, { recursive: true })
})

test('S1: a whole journal under another name is renamed back, and not given up', async (t) => {
  const world = new FakeWorld().on('revert b', () => Promise.resolve())
  const rig = await makeRig(t, world)
  await rig.run(ab)
  const other = join(rig.state.path, 'journal', 'r2.jsonl')
  renameSync(rig.file, other)
  await assert.rejects(acceptLoss(rig.state, { run: 'r2', note: 'why', now: NOW }), {
    code: 'REFUSED_UNSUITABLE',
    message: /not damaged: it is the journal of run r1: rename it to r1\.jsonl/,
  })
  assert.ok(existsSync(other))
})

test('S1: the secret of a damaged journal is kept with it, also where a crash came between the two', async (t) => {
  const { rig, world } = await damaged(t, 3)
  world.off('revert b')
  await rig.recover()
  await rig.state.secrets.keep('r1', { password: 'p' })
  const { aside } = await acceptLoss(rig.state, { run: 'r1', note: 'why', now: NOW })
  const kept = join(rig.state.path, 'secrets', `r1.damaged-${NOW}`)
  assert.deepEqual(aside, [`${rig.file}.damaged-${NOW}`, kept])
  assert.deepEqual(JSON.parse(readFileSync(kept, 'utf8')), { password: 'p' })
  renameSync(kept, kept.replace(/\.damaged-\d+$/, ''))
  await forgetLostSecrets(rig.state)
  assert.ok(existsSync(kept), 'the next start sets it aside')
  await forgetLostSecrets(rig.state)
  assert.ok(existsSync(kept), 'and it stays there')
  await pruneState(rig.state, 1000, NOW + 5000)
  assert.ok(!existsSync(kept), 'until old reports go')
})

test('a run that went on in a second file is set aside as a whole', async (t) => {
  const { rig, world, journal } = await damaged(t, 3)
  world.off('revert b')
  await rig.recover()
  writeFileSync(join(journal, 'r1.2.jsonl'), 'garbage\n')
  await acceptLoss(rig.state, { run: 'r1', note: '', now: NOW })
  assert.deepEqual(readdirSync(journal).sort(), [`r1.2.jsonl.damaged-${NOW}`, `r1.jsonl.damaged-${NOW}`])
  assert.deepEqual(await rig.state.runs.list(), [])
})
