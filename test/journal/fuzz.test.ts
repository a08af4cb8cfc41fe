/** Journals changed in every small way: only typed errors, no hang, and never a record that was not written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JournalError } from '../../src/core/errors.ts'
import { seededRandom } from '../../src/core/random.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { loadStep, readJournal } from '../../src/journal/read-journal.ts'
import { decodeLine } from '../../src/journal/format.ts'
import type { JournalRecord } from '../../src/journal/journal.ts'
import { linesOf } from '../../src/journal/lines.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import { applied, planned, reverted, started } from './helpers.ts'

const FILES = ['/j/r1.jsonl', '/j/r1.2.jsonl']
const SEED = process.env['CHAOS_SEED'] ?? 'fuzz'

/** A whole run of two steps that went on in a second file. */
async function writeRun(facts: object): Promise<Buffer[]> {
  const disk = new MemoryDisk()
  let failing = false
  const breaking = watched(disk, (op, path) => {
    if (failing && op === 'datasync' && path === FILES[0]) throw diskError('EIO')
  })
  const journal = await FileJournal.create(FILES[0]!, breaking)
  const fault: JournalRecord[] = [
    started({ notes: ['Zoë'] }),
    planned(1, { key: 'a', before: 'é' }),
    { type: 'step.recorded', step: 1, facts },
    applied(1),
    planned(2, { key: 'b' }),
    { type: 'step.failed', step: 2, error: 'connection reset' },
  ]
  for (const record of fault) await journal.append(record, { durable: true })
  failing = true
  await journal.append(planned(3), { durable: true }).catch(() => undefined)
  const undo: JournalRecord[] = [
    { type: 'undo.started', reason: 'the disk', outcome: 'failed' },
    { type: 'undo.progress', step: 1, facts: { done: 1 } },
    reverted(2),
    reverted(1),
  ]
  for (const record of undo) await journal.append(record, { durable: true })
  return Promise.all(FILES.map((file) => disk.readFile(file)))
}

class Fuzz {
  cases = 0
  readonly #lines: Set<string>
  readonly files: Buffer[]
  constructor(files: Buffer[]) {
    this.files = files
    this.#lines = new Set(files.flatMap((file) => file.toString('latin1').split('\n')))
  }

  /** Reads it, loads every step of it, and checks each line that was accepted. */
  async try(changed: Buffer, which: number, what: string): Promise<void> {
    this.cases++
    const disk = new MemoryDisk()
    await disk.mkdir('/j')
    for (const [i, file] of FILES.entries()) {
      await (await disk.open(file, 'create')).write(i === which ? changed : this.files[i]!, 0)
    }
    for await (const { bytes, whole } of linesOf(FILES[which]!, disk)) {
      if (whole && decodeLine(bytes))
        assert.ok(this.#lines.has(bytes.toString('latin1')), `${what}: a line that was not written`)
    }
    try {
      const state = await readJournal(FILES[0]!, disk)
      for (const step of state.steps) {
        const data = (await loadStep(FILES[0]!, step, disk)) as { key?: string }
        assert.ok(['a', 'b', 'k3'].includes(data.key ?? ''), what)
      }
    } catch (error) {
      assert.ok(error instanceof JournalError, `${what}: ${String(error)}`)
    }
  }
}

for (const which of [0, 1]) {
  test(`no change of a journal makes a record that was not written, or anything but a typed error (file ${which + 1})`, async (t) => {
    const fuzz = new Fuzz(await writeRun({ keys: [1, 2], text: 'x'.repeat(200) }))
    const whole = fuzz.files[which]!
    for (let length = 0; length < whole.length; length++)
      await fuzz.try(whole.subarray(0, length), which, `cut at ${length}`)
    for (let i = 0; i < whole.length; i++) {
      for (const flip of [1 << (i % 8), 255]) {
        const changed = Buffer.from(whole)
        changed[i]! ^= flip
        await fuzz.try(changed, which, `byte ${i} ^ ${flip}`)
      }
    }
    const random = seededRandom(`${SEED}/${which}`)
    for (let n = 0; n < 800; n++) {
      const [at, size] = [random.int(whole.length), 1 + random.int(600)]
      await fuzz.try(Buffer.from(whole).fill(0, at, Math.min(at + size, whole.length)), which, `${size} zeros at ${at}`)
      await fuzz.try(
        Buffer.concat([whole.subarray(0, at), whole.subarray(at + size)]),
        which,
        `${size} bytes missing at ${at}`,
      )
      const from = random.int(whole.length)
      const piece = whole.subarray(from, from + size)
      await fuzz.try(
        Buffer.concat([whole.subarray(0, at), piece, whole.subarray(at)]),
        which,
        `${size} bytes of ${from} put in at ${at}`,
      )
    }
    const lines = whole
      .toString('latin1')
      .split(/(?<=\n)/)
      .map((line) => Buffer.from(line, 'latin1'))
    for (const [i, a] of lines.entries()) {
      for (const [j, b] of lines.entries()) {
        await fuzz.try(Buffer.concat(lines.toSpliced(j, 0, a)), which, `line ${i} again at ${j}`)
        await fuzz.try(Buffer.concat(lines.with(i, b).with(j, a)), which, `lines ${i} and ${j} swapped`)
      }
      await fuzz.try(Buffer.concat(lines.toSpliced(i, 1)), which, `without line ${i}`)
    }
    t.diagnostic(`${fuzz.cases} changed journals`)
  })
}
