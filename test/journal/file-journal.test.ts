import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { JournalError } from '../../src/core/errors.ts'
import { nodeDisk } from '../../src/journal/disk.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { CHAIN_START, decodeLine, encodeLine } from '../../src/journal/format.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import { applied, planned, reverted, started, temporaryFolder } from './helpers.ts'

async function write(file: string, records: JournalRecord[]): Promise<void> {
  const journal = await FileJournal.create(file)
  for (const record of records) await journal.append(record, { durable: true })
  await journal.close()
}

const fileIn = (t: TestContext): string => join(temporaryFolder(t), 'journal', 'r1.jsonl')

test('what was appended reads back, in order, folded into steps', async (t) => {
  const file = fileIn(t)
  await write(file, [
    started(),
    planned(1),
    { type: 'step.recorded', step: 1, facts: { before: 'x' } },
    applied(1),
    planned(2),
    { type: 'step.skipped', step: 2, reason: 'it moved' },
    planned(3),
    { type: 'step.failed', step: 3, error: 'lost' },
    planned(4),
    { type: 'undo.started', reason: 'SIGTERM', outcome: 'aborted' },
    { type: 'step.revert_failed', step: 3, error: 'still there' },
    reverted(1),
  ])
  const state = await readJournal(file)
  assert.equal(state.started?.run, 'r1')
  assert.deepEqual(
    state.steps.map((s) => [s.step, s.state]),
    [
      [1, 'reverted'],
      [2, 'skipped'],
      [3, 'failed'],
      [4, 'planned'],
    ],
  )
  assert.equal(state.steps[2]?.revert_error, 'still there')
  assert.deepEqual(
    pendingSteps(state).map((s) => s.step),
    [3, 4],
  )
  assert.equal(state.undo?.reason, 'SIGTERM')
  assert.deepEqual([state.damage, state.tornBytes, state.finished], [[], 0, undefined])
})

test('a step that was accepted by an operator is pending no longer, one that was quarantined is', async (t) => {
  const file = fileIn(t)
  const accept: JournalRecord = { type: 'step.accepted', step: 1, note: 'seen' }
  const quarantine: JournalRecord = { type: 'step.quarantined', step: 2, error: 'killed three times', boot: 'b' }
  await write(file, [started(), planned(1), planned(2), accept, quarantine])
  assert.deepEqual(
    pendingSteps(await readJournal(file)).map((s) => s.step),
    [2],
  )
})

test('records of a kind that this version does not know are passed over', async (t) => {
  const file = fileIn(t)
  await write(file, [started(), planned(1), { type: 'step.admired', step: 1 } as unknown as JournalRecord, applied(1)])
  const state = await readJournal(file)
  assert.deepEqual([state.damage, state.steps[0]?.state], [[], 'applied'])
})

test('every line names the checksum of the one before and counts up from 1', async (t) => {
  const file = fileIn(t)
  await write(file, [started(), planned(1), applied(1)])
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  let prev = CHAIN_START
  for (const [i, text] of lines.entries()) {
    const line = decodeLine(Buffer.from(text))
    assert.deepEqual([line?.seq, line?.prev], [i + 1, prev])
    prev = line!.crc
  }
  assert.equal(lines.length, 3)
})

test('a resumed journal goes on with the chain of the one before', async (t) => {
  const file = fileIn(t)
  await write(file, [started(), planned(1)])
  const again = await FileJournal.resume(file)
  await again.append(reverted(1), { durable: true })
  await again.close()
  const state = await readJournal(file)
  assert.deepEqual([state.damage, state.lastSeq, state.steps[0]?.state], [[], 3, 'reverted'])
})

test('64 concurrent durable appends share their syncs', async () => {
  let syncs = 0
  const disk = watched(new MemoryDisk(), (op) => {
    if (op === 'datasync') syncs++
  })
  const journal = await FileJournal.create('/j/r1.jsonl', disk)
  await Promise.all(Array.from({ length: 64 }, (_, i) => journal.append(planned(i + 1), { durable: true })))
  assert.ok(syncs <= 2, `${syncs} syncs`)
  const state = await readJournal('/j/r1.jsonl', disk)
  assert.deepEqual([state.steps.length, state.damage.length], [64, 0])
})

test('appends that come while a batch is being synced share the next sync', async () => {
  let syncs = 0
  const disk = watched(new MemoryDisk(), (op) => {
    if (op === 'datasync') syncs++
  })
  const journal = await FileJournal.create('/j/r1.jsonl', disk)
  const lane = async (i: number): Promise<void> => {
    for (let n = 0; n < 10; n++) await journal.append(planned(i * 10 + n), { durable: true })
  }
  await Promise.all(Array.from({ length: 8 }, (_, i) => lane(i)))
  assert.ok(syncs <= 20, `${syncs} syncs for 80 records of 8 writers`)
})

test('a durable append has not resolved before its datasync has, a plain one does not wait for any', async () => {
  let syncs = 0
  let letThrough: (() => void) | undefined
  const disk = watched(new MemoryDisk(), async (op) => {
    if (op !== 'datasync') return
    syncs++
    await new Promise<void>((resolve) => (letThrough = resolve))
  })
  const journal = await FileJournal.create('/j/r1.jsonl', disk)
  await journal.append(started())
  assert.equal(syncs, 0)
  let done = false
  const appending = journal.append(planned(1), { durable: true }).then(() => (done = true))
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([syncs, done], [1, false])
  letThrough?.()
  await appending
})

test('the name of a new journal is durable before its first record can be', async () => {
  const ops: string[] = []
  const disk = watched(new MemoryDisk(), (op) => void ops.push(op))
  const journal = await FileJournal.create('/j/r1.jsonl', disk)
  await journal.append(started(), { durable: true })
  assert.deepEqual(ops, ['mkdir', 'create', 'syncFolder', 'write', 'datasync'])
})

test('a journal is never begun over another one', async (t) => {
  const file = fileIn(t)
  await write(file, [started()])
  await assert.rejects(FileJournal.create(file), { code: 'JOURNAL_WRITE' })
  assert.equal((await readJournal(file)).lastSeq, 1)
})

test('reading changes no byte of a journal, torn or not, and makes no file', async (t) => {
  const file = fileIn(t)
  await write(file, [started(), planned(1)])
  writeFileSync(file, Buffer.concat([readFileSync(file), Buffer.from('99 torn')]))
  const before = { bytes: readFileSync(file), mtime: statSync(file).mtimeMs }
  const changing: string[] = []
  const disk = watched(nodeDisk, (op) => {
    if (!['open', 'read', 'close', 'list'].includes(op)) changing.push(op)
  })
  const state = await readJournal(file, disk)
  await loadStep(file, state.steps[0]!, disk)
  assert.equal(state.tornBytes, 7)
  assert.deepEqual(changing, [])
  assert.deepEqual({ bytes: readFileSync(file), mtime: statSync(file).mtimeMs }, before)
  assert.deepEqual(readdirSync(join(file, '..')), ['r1.jsonl'])
})

for (const op of ['write', 'datasync'] as const) {
  test(`after a ${op} error that append and all later ones reject with JOURNAL_WRITE, and nothing hangs`, async () => {
    let broken = false
    const disk = watched(new MemoryDisk(), (now) => {
      if (broken && now === op) throw diskError('EIO')
    })
    const journal = await FileJournal.create('/j/r1.jsonl', disk)
    await journal.append(started(), { durable: true })
    broken = true
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => journal.append(planned(i + 1), { durable: true })),
    )
    broken = false
    results.push(...(await Promise.allSettled([journal.append(planned(11)), journal.append(planned(12))])))
    for (const result of results) {
      assert.ok(result.status === 'rejected' && result.reason instanceof JournalError)
      assert.equal(result.reason.code, 'JOURNAL_WRITE')
      assert.match(result.reason.message, /r1\.jsonl.*EIO/)
    }
    await journal.close()
  })
}

test('a record over 1 MiB is refused and the journal goes on', async (t) => {
  const file = fileIn(t)
  const journal = await FileJournal.create(file)
  await journal.append(started(), { durable: true })
  const large = planned(1, { text: 'x'.repeat(2 ** 20 + 2 ** 16) })
  await assert.rejects(journal.append(large, { durable: true }), { code: 'JOURNAL_WRITE', message: /1 MiB/ })
  await journal.append(planned(2, { text: 'x'.repeat(2 ** 20) }), { durable: true })
  await journal.close()
  const state = await readJournal(file)
  assert.deepEqual([state.steps.map((s) => s.step), state.damage], [[2], []])
})

test('a journal of a newer format is read no further and ends commands with exit code 78', async (t) => {
  const file = fileIn(t)
  await write(file, [started({ format: 3 }), planned(1)])
  const before = readFileSync(file)
  await assert.rejects(readJournal(file), (error) => {
    assert.ok(error instanceof JournalError)
    assert.deepEqual([error.code, error.exitCode], ['JOURNAL_NEWER', 78])
    return true
  })
  await assert.rejects(FileJournal.resume(file), { code: 'JOURNAL_NEWER' })
  assert.deepEqual(readFileSync(file), before)
})

test('a journal that is not there or cannot be read is JOURNAL_READ', async (t) => {
  const file = fileIn(t)
  await assert.rejects(readJournal(file), { code: 'JOURNAL_READ' })
  await write(file, [started()])
  const disk = watched(nodeDisk, (op) => {
    if (op === 'read') throw diskError('EIO')
  })
  await assert.rejects(readJournal(file, disk), { code: 'JOURNAL_READ', message: /EIO/ })
})

test('loadStep is the planned data, then recorded facts, then progress of the undo, the later over the earlier', async (t) => {
  const file = fileIn(t)
  await write(file, [
    started(),
    planned(1, { key: 'k', a: 'planned', b: 'planned', c: 'planned' }),
    planned(2, { key: 'other' }),
    { type: 'step.recorded', step: 1, facts: { b: 'recorded', c: 'recorded' } },
    { type: 'step.recorded', step: 2, facts: { b: 'not mine' } },
    { type: 'undo.started', reason: '', outcome: 'completed' },
    { type: 'undo.progress', step: 1, facts: { c: 'undone to 10' } },
    { type: 'undo.progress', step: 1, facts: { c: 'undone to 20' } },
  ])
  const { steps } = await readJournal(file)
  assert.deepEqual(await loadStep(file, steps[0]!), { key: 'k', a: 'planned', b: 'recorded', c: 'undone to 20' })
})

test('loadStep refuses a record that has changed since the journal was read', async (t) => {
  const file = fileIn(t)
  await write(file, [started(), planned(1)])
  const { steps } = await readJournal(file)
  const bytes = readFileSync(file)
  bytes[steps[0]!.planned.offset + steps[0]!.planned.length - 3]! ^= 1
  writeFileSync(file, bytes)
  await assert.rejects(loadStep(file, steps[0]!), { code: 'JOURNAL_READ' })
})

test('records longer than what is read at once read back', async (t) => {
  const file = fileIn(t)
  const texts = [2 ** 18 - 100, 2 ** 18, 2 ** 19 + 1, 2 ** 20].map((n) => 'y'.repeat(n))
  await write(file, [started(), ...texts.map((text, i) => planned(i + 1, { text }))])
  const state = await readJournal(file)
  assert.deepEqual(state.damage, [])
  for (const [i, text] of texts.entries()) {
    assert.deepEqual(await loadStep(file, state.steps[i]!), { text })
  }
})

test('a file whose size is not a whole number of lines is not mistaken for one of another record', async (t) => {
  const file = fileIn(t)
  const { bytes } = encodeLine(1, CHAIN_START, JSON.stringify(started()))
  await nodeDisk.mkdir(join(file, '..'))
  writeFileSync(file, Buffer.concat([bytes, bytes.subarray(0, 40)]))
  const state = await readJournal(file)
  assert.deepEqual([state.lastSeq, state.goodLength, state.tornBytes], [1, bytes.length, 40])
})
