/** A run goes on in another file after an error of the disk; what its files say together is what one file would have said. */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { forgetRun, forgetLostSecrets } from '../../src/journal/forget.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { partFile, partOf } from '../../src/journal/parts.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import type { Operation } from '../fakes/disk.ts'
import { planned, reverted, started, temporaryFolder } from './helpers.ts'

const FILE = '/j/r1.jsonl'
const SECOND = '/j/r1.2.jsonl'
const UNDO: JournalRecord = { type: 'undo.started', reason: 'the disk', outcome: 'failed' }

/** A memory disk on which operations fail for as long as `broken` says so. */
function breakable(): {
  disk: MemoryDisk
  broken: { now?: (op: Operation, path: string) => boolean }
  ops: string[]
  on: ReturnType<typeof watched>
} {
  const disk = new MemoryDisk()
  const broken: { now?: (op: Operation, path: string) => boolean } = {}
  const ops: string[] = []
  const on = watched(disk, (op, path) => {
    ops.push(`${op} ${path}`)
    if (broken.now?.(op, path) === true) throw diskError('EIO')
  })
  return { disk, broken, ops, on }
}

/** A run of two steps whose first file fails at its next sync. */
async function failed() {
  const rig = breakable()
  const journal = await FileJournal.create(FILE, rig.on)
  await journal.append(started(), { durable: true })
  await journal.append(planned(1), { durable: true })
  await journal.append(planned(2), { durable: true })
  rig.broken.now = (op, path) => op === 'datasync' && path === FILE
  await assert.rejects(journal.append(planned(3), { durable: true }), { code: 'JOURNAL_WRITE', message: /EIO/ })
  return { ...rig, journal }
}

test('after a failed sync nothing of a fault is accepted any more, and the undo is recorded in the second file', async () => {
  const { journal, disk } = await failed()
  const faults: JournalRecord[] = [
    planned(4),
    { type: 'step.recorded', step: 1, facts: {} },
    { type: 'step.applied', step: 1, effect: { inEffect: 1, restored: 0, foreign: 0 }, ms: 1 },
    { type: 'step.failed', step: 1, error: '' },
    { type: 'step.skipped', step: 1, reason: '' },
    started(),
  ]
  for (const record of faults) await assert.rejects(journal.append(record), { code: 'JOURNAL_WRITE' })
  await journal.append(UNDO, { durable: true })
  await journal.append(reverted(2), { durable: true })
  const state = await readJournal(FILE, disk.afterPowerCut())
  assert.deepEqual([state.part, state.damage, state.undo?.outcome], [2, [], 'failed'])
  assert.deepEqual(
    pendingSteps(state).map((s) => s.step),
    [1],
  )
  assert.match(journal.failure?.message ?? '', /r1\.jsonl.*EIO/)
})

test('a file whose sync has failed is never written or synced again', async () => {
  const { journal, ops } = await failed()
  const from = ops.length
  await journal.append(UNDO, { durable: true })
  await journal.append(reverted(1), { durable: true })
  await journal.close()
  assert.deepEqual(
    ops.slice(from).filter((op) => op.endsWith(` ${FILE}`)),
    [],
  )
})

test('what stands behind the last sync of the file that failed is not damage, however the disk left it', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  for (const tail of ['garbage\n', '\0\0\0\0garbage\n{}\n', '12 torn']) {
    const left = disk.afterPowerCut((unsynced) => (unsynced.length > 0 ? Buffer.from(tail) : unsynced))
    const state = await readJournal(FILE, left)
    assert.deepEqual([state.damage, pendingSteps(state).length], [[], 2], tail)
  }
})

test('damage before that place is damage', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  const file = await disk.open(FILE, 'write')
  await file.write(Buffer.from('X'), 200)
  assert.equal((await readJournal(FILE, disk)).damage[0]?.reason, 'unreadable')
})

test('what an undo learnt in the second file is laid over what stands in the first', async () => {
  const { journal, disk } = await failed()
  await journal.append({ type: 'undo.progress', step: 1, facts: { done: 10 } })
  const { steps } = await readJournal(FILE, disk)
  assert.deepEqual(await loadStep(FILE, steps[0]!, disk), { key: 'k1', done: 10 })
})

test('a second file that fails too is followed by a third, and damage behind the last sync of neither counts', async () => {
  const { journal, disk, broken } = await failed()
  await journal.append(UNDO, { durable: true })
  broken.now = (op, path) => op === 'datasync' && path !== partFile(FILE, 3)
  await journal.append(reverted(2), { durable: true })
  await journal.append(reverted(1), { durable: true })
  await journal.append({ type: 'run.finished', outcome: 'failed' }, { durable: true })
  const state = await readJournal(
    FILE,
    disk.afterPowerCut(() => Buffer.from('garbage\n')),
  )
  assert.deepEqual(
    [state.part, state.damage, pendingSteps(state).length, state.finished?.outcome],
    [3, [{ part: 3, offset: state.goodLength - 8, reason: 'unreadable' }], 0, 'failed'],
  )
})

test('on a disk that is gone the undo is told so at every record, and nothing hangs or grows without end', async () => {
  const { journal, broken, ops, disk } = await failed()
  broken.now = (op) => op !== 'close'
  for (let i = 0; i < 50; i++)
    await assert.rejects(journal.append(reverted(1), { durable: true }), { code: 'JOURNAL_WRITE' })
  await journal.close()
  assert.ok(ops.length < 1000, `${ops.length} operations`)
  broken.now = (op) => op === 'datasync'
  const again = await FileJournal.resume(
    FILE,
    watched(disk, () => undefined),
  )
  await again.append(reverted(1), { durable: true })
  assert.equal((await readJournal(FILE, disk)).steps[0]?.state, 'reverted')
})

test('there are never more than nine files', async () => {
  const { journal, broken, disk } = await failed()
  broken.now = (op) => op === 'datasync'
  for (let i = 0; i < 50; i++)
    await assert.rejects(journal.append(reverted(1), { durable: true }), { code: 'JOURNAL_WRITE' })
  assert.equal((await disk.list('/j')).length, 9)
})

test('a name that was left by an attempt that failed does not stand in the way', async () => {
  const { journal, broken, disk } = await failed()
  broken.now = (op, path) => op === 'syncFolder' && path === '/j'
  await assert.rejects(journal.append(UNDO, { durable: true }))
  delete broken.now
  await journal.append(reverted(1), { durable: true })
  const state = await readJournal(FILE, disk.afterPowerCut())
  assert.deepEqual([state.damage, pendingSteps(state).map((s) => s.step)], [[], [2]])
})

test('a recovery goes on in the newest file', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  const first = await disk.readFile(FILE)
  const again = await FileJournal.resume(FILE, disk)
  await again.append(reverted(2), { durable: true })
  await again.append(reverted(1), { durable: true })
  assert.deepEqual(await disk.readFile(FILE), first)
  const state = await readJournal(FILE, disk.afterPowerCut())
  assert.deepEqual([pendingSteps(state), state.damage, state.part], [[], [], 2])
  assert.equal(again.failure, undefined)
})

test('a recovery whose newest file cannot be read writes behind it, not over it', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  const second = await disk.readFile(SECOND)
  const half = watched(disk, (op, path) => {
    if (op === 'read' && path === SECOND) throw diskError('EIO')
  })
  const again = await FileJournal.resume(FILE, half)
  await again.append(reverted(2), { durable: true })
  assert.deepEqual(await disk.readFile(SECOND), second)
  const state = await readJournal(FILE, half)
  assert.deepEqual([state.damage.map((d) => d.part), pendingSteps(state).map((s) => s.step)], [[2], [1, 3]])
})

test('a torn tail of the second file is cut when it is resumed; one of the first is left alone', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  const left = disk.afterPowerCut(() => Buffer.from('99 torn'))
  const first = await left.readFile(FILE)
  const again = await FileJournal.resume(FILE, left)
  await again.append(reverted(1), { durable: true })
  assert.deepEqual(await left.readFile(FILE), first)
  assert.deepEqual((await readJournal(FILE, left)).damage, [])
})

test('a second file of a newer format keeps the whole run from being touched', async () => {
  const { disk } = await failed()
  const newer = { type: 'run.continued', format: 3, run: 'r1', after: [], error: '' } as unknown as JournalRecord
  const second = await FileJournal.create(SECOND, disk)
  await second.append(newer)
  await assert.rejects(readJournal(FILE, disk), { code: 'JOURNAL_NEWER' })
})

test('a full disk gets room once, and the undo goes on in the second file', async () => {
  let full = false
  let freed = 0
  const disk = watched(new MemoryDisk(), (op) => {
    if (full && (op === 'write' || op === 'create')) throw diskError('ENOSPC')
  })
  const makeRoom = (): Promise<void> => {
    freed++
    full = false
    return Promise.resolve()
  }
  const journal = await FileJournal.create(FILE, disk, makeRoom)
  await journal.append(started(), { durable: true })
  full = true
  await assert.rejects(journal.append(planned(1), { durable: true }), /ENOSPC/)
  assert.equal(freed, 0, 'a new fault gets nothing of what is put by for undos')
  await journal.append(UNDO, { durable: true })
  assert.equal(freed, 1)
  assert.equal((await readJournal(FILE, disk)).undo?.outcome, 'failed')
})

test('the files of a run are told from those of others, and are listed as one', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  for (const run of ['r1', 'r12']) {
    await state.secrets.keep(run, {})
    const journal = await state.runs.create(run)
    await journal.append(started({ run }))
    await journal.close()
    for (const part of [2, 3]) writeFileSync(partFile(state.runs.where(run), part), '')
    writeFileSync(`${partFile(state.runs.where(run), 2)}.torn-1767323045000`, 'customer data')
  }
  assert.deepEqual(
    (await state.runs.list()).map((s) => [s.started?.run, 'part' in s ? s.part : undefined]),
    [
      ['r1', 3],
      ['r12', 3],
    ],
  )
  await forgetLostSecrets(state)
  await forgetRun(state, 'r1')
  assert.deepEqual(readdirSync(join(state.path, 'secrets')), ['r12'])
  assert.deepEqual(readdirSync(join(state.path, 'journal')).sort(), [
    'r12.2.jsonl',
    'r12.2.jsonl.torn-1767323045000',
    'r12.3.jsonl',
    'r12.jsonl',
  ])
})

test('of a run that is over the last file alone is enough; of another one it is damage', async () => {
  const { journal, disk } = await failed()
  await journal.append(UNDO, { durable: true })
  await disk.remove(FILE)
  assert.equal((await readJournal(FILE, disk)).damage[0]?.reason, 'it is gone')
  await journal.append({ type: 'run.finished', outcome: 'failed' }, { durable: true })
  const over = await readJournal(FILE, disk)
  assert.deepEqual([over.damage, over.finished?.outcome], [[], 'failed'])
})

test('names of parts', () => {
  assert.deepEqual(['r1.jsonl', 'r1.2.jsonl', 'a.b.jsonl', 'r1.jsonl.torn-1', '.r1.jsonl', 'r1.json'].map(partOf), [
    { run: 'r1', part: 1 },
    { run: 'r1', part: 2 },
    { run: 'a.b', part: 1 },
    undefined,
    undefined,
    undefined,
  ])
})
