import assert from 'node:assert/strict'
import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { nodeDisk } from '../../src/journal/disk.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { pendingSteps } from '../../src/journal/journal.ts'
import type { FileState } from '../../src/journal/file-state.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import { applied, planned, reverted, started, temporaryFolder } from './helpers.ts'

const RECORDS: JournalRecord[] = [
  started({ notes: ['Zoë'] }),
  planned(1, { key: 'a', before: 'é' }),
  { type: 'step.recorded', step: 1, facts: { keys: [1, 2] } },
  applied(1),
  planned(2, { key: 'b' }),
]

async function bytesOf(records: JournalRecord[]): Promise<Buffer> {
  const disk = new MemoryDisk()
  const journal = await FileJournal.create('/j/r.jsonl', disk)
  for (const record of records) await journal.append(record)
  return disk.readFile('/j/r.jsonl')
}

async function diskWith(bytes: Buffer): Promise<MemoryDisk> {
  const disk = new MemoryDisk()
  await disk.mkdir('/j')
  const file = await disk.open('/j/r.jsonl', 'create')
  await file.write(bytes, 0)
  return disk
}

async function read(bytes: Buffer): Promise<FileState> {
  return readJournal('/j/r.jsonl', await diskWith(bytes))
}

const linesOf = (bytes: Buffer): Buffer[] =>
  bytes
    .toString('latin1')
    .split(/(?<=\n)/)
    .map((line) => Buffer.from(line, 'latin1'))

test('a tail torn at every byte of the last record leaves all earlier records, and resume cuts it and keeps a copy', async () => {
  const whole = await bytesOf(RECORDS)
  const earlier = linesOf(whole).slice(0, -1)
  const good = Buffer.concat(earlier).length
  for (let length = good + 1; length < whole.length; length++) {
    const disk = await diskWith(whole.subarray(0, length))
    const torn = await readJournal('/j/r.jsonl', disk)
    assert.deepEqual(
      [torn.lastSeq, torn.steps.length, torn.goodLength, torn.tornBytes, torn.damage],
      [RECORDS.length - 1, 1, good, length - good, []],
      `torn at ${length}`,
    )
    const journal = await FileJournal.resume('/j/r.jsonl', disk)
    await journal.append(reverted(1), { durable: true })
    await journal.close()
    const resumed = await readJournal('/j/r.jsonl', disk)
    assert.deepEqual([resumed.damage, resumed.tornBytes, resumed.steps[0]?.state], [[], 0, 'reverted'])
    const [copy] = (await disk.list('/j')).filter((name) => name.includes('torn'))
    assert.deepEqual(await disk.readFile(`/j/${copy!}`), whole.subarray(good, length))
  }
})

test('no change of one byte makes a wrong record: it is reported, and what is left is as it was written', async () => {
  const whole = await bytesOf(RECORDS)
  const lines = linesOf(whole)
  for (let i = 0; i < whole.length; i++) {
    for (const flip of [1, 4, 32, 128]) {
      const changed = Buffer.from(whole)
      changed[i]! ^= flip
      const disk = await diskWith(changed)
      const state = await readJournal('/j/r.jsonl', disk)
      const at = `byte ${i}, bit ${flip}`
      assert.ok(state.damage.length > 0, `not reported: ${at}`)
      assert.ok(lines.length - state.lastSeq <= 2, at)
      for (const step of state.steps) {
        const written = RECORDS.find((r) => r.type === 'step.planned' && r.step === step.step)
        assert.ok(written?.type === 'step.planned', at)
        const facts = step.facts.length > 0 ? { keys: [1, 2] } : {}
        assert.deepEqual(await loadStep('/j/r.jsonl', step, disk), { ...written.data, ...facts }, at)
      }
    }
  }
})

test('a last record that was acknowledged and then damaged is not cut away as a torn tail', async () => {
  const whole = await bytesOf(RECORDS)
  whole[whole.length - 20]! ^= 1
  const disk = await diskWith(whole)
  const journal = await FileJournal.resume('/j/r.jsonl', disk)
  await journal.append(reverted(1), { durable: true })
  const bytes = await disk.readFile('/j/r.jsonl')
  assert.deepEqual(bytes.subarray(0, whole.length), whole)
  const state = await readJournal('/j/r.jsonl', disk)
  assert.deepEqual([state.damage.length, state.steps.map((s) => s.state)], [1, ['reverted']])
})

test('behind a damaged last record a torn tail is still cut', async () => {
  const whole = await bytesOf(RECORDS)
  whole[whole.length - 20]! ^= 1
  const disk = await diskWith(Buffer.concat([whole, Buffer.from('120 00000000 0000')]))
  const state = await readJournal('/j/r.jsonl', disk)
  assert.deepEqual([state.damage.length, state.goodLength, state.tornBytes], [1, whole.length, 17])
  await FileJournal.resume('/j/r.jsonl', disk)
  assert.deepEqual(await disk.readFile('/j/r.jsonl'), whole)
})

for (const zeros of [1, 2, 4096, 3_000_000]) {
  test(`a tail of ${zeros} zero bytes is torn, whether it begins at a record or within one`, async () => {
    const whole = await bytesOf(RECORDS)
    const clean = await read(Buffer.concat([whole, Buffer.alloc(zeros)]))
    assert.deepEqual([clean.steps.length, clean.tornBytes, clean.damage], [2, zeros, []])
    const within = await read(Buffer.concat([whole.subarray(0, -10), Buffer.alloc(zeros)]))
    assert.deepEqual([within.steps.length, within.lastSeq, within.damage], [1, RECORDS.length - 1, []])
  })
}

test('a file that is grown to a terabyte of zeros is damaged, read within its bound, and gone on with in another', async (t) => {
  const file = join(temporaryFolder(t), 'r1.jsonl')
  const journal = await FileJournal.create(file)
  for (const record of RECORDS) await journal.append(record)
  await journal.close()
  const { size } = statSync(file)
  truncateSync(file, 2 ** 40)
  const state = await readJournal(file)
  assert.deepEqual([state.steps.length, state.damage.length, state.damage[0]?.offset], [2, 1, size])
  assert.match(state.damage[0]?.reason ?? '', /^more than 256 MiB that are no records/)
  const resumed = await FileJournal.resume(file)
  await resumed.append(reverted(1), { durable: true })
  await resumed.close()
  const after = await readJournal(file)
  assert.deepEqual(
    after.steps.map((step) => step.state),
    ['reverted', 'planned'],
  )
  assert.deepEqual([after.damage.length, statSync(file).size], [1, 2 ** 40])
})

test('a hole of zeros that a later record follows is damage', async () => {
  const [first, second, ...rest] = linesOf(await bytesOf(RECORDS))
  const state = await read(Buffer.concat([first!, Buffer.alloc(second!.length), ...rest]))
  assert.equal(state.damage[0]?.offset, first!.length)
  assert.equal(state.damage[0].reason, 'unreadable')
})

test('a duplicated line is reported as damage', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  for (let i = 0; i < lines.length; i++) {
    const state = await read(Buffer.concat(lines.toSpliced(i, 0, lines[i]!)))
    assert.match(state.damage[0]?.reason ?? '', /does not follow/, `line ${i}`)
  }
})

test('two swapped lines are reported as damage', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  for (let i = 0; i + 1 < lines.length; i++) {
    const state = await read(Buffer.concat(lines.toSpliced(i, 2, lines[i + 1]!, lines[i]!)))
    assert.match(state.damage[0]?.reason ?? '', /does not follow/, `line ${i}`)
  }
})

test('a line of another journal is reported as damage although its number fits', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  const others = linesOf(await bytesOf([started({ run: 'r2' }), planned(7), planned(8), planned(9)]))
  const state = await read(Buffer.concat(lines.toSpliced(3, 1, others[3]!)))
  assert.match(state.damage[0]?.reason ?? '', /record 4 does not follow record 3/)
})

test('a missing line is reported as damage unless it is the last', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  for (let i = 0; i < lines.length; i++) {
    const state = await read(Buffer.concat(lines.toSpliced(i, 1)))
    assert.equal(state.damage.length, i === lines.length - 1 ? 0 : 1, `line ${i}`)
  }
})

test('what stands before and after a damaged line still counts', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  lines[3] = Buffer.from('garbage\n')
  const state = await read(Buffer.concat(lines))
  assert.deepEqual(
    pendingSteps(state).map((s) => s.step),
    [1, 2],
  )
  assert.deepEqual(state.damage[0], { offset: Buffer.concat(lines.slice(0, 3)).length, reason: 'unreadable' })
})

test('neighbouring damaged lines are one entry', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  const garbage = Array.from({ length: 500 }, () => Buffer.from('garbage\n'))
  const state = await read(Buffer.concat([lines[0]!, ...garbage, ...lines.slice(1)]))
  assert.deepEqual([state.damage, state.steps.length], [[{ offset: lines[0]!.length, reason: 'unreadable' }], 2])
})

test('megabytes without a newline are read in pieces and what follows them counts', async () => {
  const lines = linesOf(await bytesOf(RECORDS))
  const state = await read(
    Buffer.concat([lines[0]!, Buffer.alloc(5_000_000, 'x'), Buffer.from('\n'), ...lines.slice(1)]),
  )
  assert.deepEqual([state.damage.length, state.steps.length], [1, 2])
})

test('an empty file has no start, no step and no damage', async () => {
  const state = await read(Buffer.alloc(0))
  assert.deepEqual([state.started, state.steps, state.damage, state.tornBytes], [undefined, [], [], 0])
})

test('a full disk that has no room for the copy does not keep a torn journal from being resumed', async (t: TestContext) => {
  const file = join(temporaryFolder(t), 'r.jsonl')
  writeFileSync(file, Buffer.concat([await bytesOf(RECORDS), Buffer.from('12 torn')]))
  const disk = watched(nodeDisk, (op) => {
    if (op === 'create') throw diskError('ENOSPC')
  })
  const journal = await FileJournal.resume(file, disk)
  await journal.append(reverted(1), { durable: true })
  await journal.close()
  assert.deepEqual((await readJournal(file)).damage, [])
  assert.deepEqual(readdirSync(dirname(file)), ['r.jsonl'])
})
