import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Report } from '../../src/core/report.ts'
import { JournalError } from '../../src/core/errors.ts'
import { forgetRun, forgetLostSecrets, pruneState } from '../../src/journal/forget.ts'
import { nodeDisk, writeFileDurably } from '../../src/journal/disk.ts'
import { FileJournal } from '../../src/journal/file-journal.ts'
import { mintRun, randomName } from '../../src/journal/names.ts'
import { findStateDir, openStateDir, peekStateDir } from '../../src/journal/state-dir.ts'
import { diskError, MemoryDisk, watched } from '../fakes/disk.ts'
import { planned, started, temporaryFolder } from './helpers.ts'

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

function report(run: string, finished_at: string): Report {
  return {
    ...{ run, experiment: 'e', target: 'fake', endpoint: 'x', seed: 's', outcome: 'completed', recovered: false },
    ...{ started_at: finished_at, finished_at, soak_ms: 0, residue: [], steps: [], notes: [], exit_code: 0 },
  }
}

test('the install id is minted with the folder and is the same ever after', async (t) => {
  const path = join(temporaryFolder(t), 'state')
  const { install } = await openStateDir(path)
  assert.match(install, /^[a-z2-7]{6}$/)
  assert.equal((await openStateDir(path)).install, install)
  assert.equal((await findStateDir(path))?.install, install)
  assert.equal(readFileSync(join(path, 'install'), 'utf8'), `${install}\n`)
})

test('ten first starts at once agree on one install id', async (t) => {
  const path = join(temporaryFolder(t), 'state')
  const states = await Promise.all(Array.from({ length: 10 }, () => openStateDir(path)))
  assert.equal(new Set(states.map((s) => s.install)).size, 1)
})

test('an install file that a crash left empty is minted anew', async (t) => {
  const path = join(temporaryFolder(t), 'state')
  mkdirSync(path)
  writeFileSync(join(path, 'install'), '')
  assert.match((await openStateDir(path)).install, /^[a-z2-7]{6}$/)
})

test('looking at a folder that was never used does not make it', async (t) => {
  const path = join(temporaryFolder(t), 'state')
  assert.equal(await findStateDir(path), undefined)
  const state = await peekStateDir(path)
  assert.deepEqual(
    [await state.runs.list(), await state.history.list(), await state.history.read('r')],
    [[], [], undefined],
  )
  assert.equal(existsSync(path), false)
})

test('folders are 0700 and files 0600, whatever the umask', async (t) => {
  const before = process.umask(0)
  t.after(() => process.umask(before))
  const path = join(temporaryFolder(t), 'above', 'state')
  const state = await openStateDir(path)
  await state.secrets.keep('r1', { password: 'x' })
  await state.history.keep(report('r1', '2026-01-01T00:00:00Z'))
  await (await FileJournal.create(state.runs.where('r1'))).close()
  const folders = ['../../above', '', 'journal', 'history', 'secrets'].map((f) => modeOf(join(path, f)))
  assert.deepEqual(folders, ['700', '700', '700', '700', '700'])
  const files = ['install', 'secrets/r1', 'history/r1.json', 'journal/r1.jsonl'].map((f) => modeOf(join(path, f)))
  assert.deepEqual(files, ['600', '600', '600', '600'])
})

test('a folder that was there before keeps its mode', async (t) => {
  const path = join(temporaryFolder(t), 'state')
  mkdirSync(path)
  chmodSync(path, 0o755)
  await openStateDir(path)
  assert.equal(modeOf(path), '755')
})

test('at every power cut a file that is written durably is the old or the new one, and the new one once it is done', async () => {
  const memory = new MemoryDisk()
  await memory.mkdir('/s')
  await writeFileDurably(memory, '/s', 'name', 'old')
  const seen = new Set<string>()
  const look = async (): Promise<void> => {
    for (const kept of [() => Buffer.alloc(0), (b: Buffer) => b, (b: Buffer) => b.subarray(0, 1)]) {
      seen.add((await memory.afterPowerCut(kept).readFile('/s/name')).toString())
    }
  }
  await writeFileDurably(watched(memory, look), '/s', 'name', 'a new one')
  assert.deepEqual([...seen].sort(), ['old'])
  assert.equal((await memory.afterPowerCut().readFile('/s/name')).toString(), 'a new one')
})

test('a write that fails at any operation leaves the old content', async () => {
  for (const failing of ['create', 'write', 'datasync', 'close', 'rename'] as const) {
    const memory = new MemoryDisk()
    await memory.mkdir('/s')
    await writeFileDurably(memory, '/s', 'name', 'old')
    const disk = watched(memory, (op) => {
      if (op === failing) throw diskError('EIO')
    })
    await assert.rejects(writeFileDurably(disk, '/s', 'name', 'new'), { code: 'EIO' }, failing)
    assert.equal((await memory.readFile('/s/name')).toString(), 'old')
    await writeFileDurably(memory, '/s', 'name', 'new')
    assert.equal((await memory.readFile('/s/name')).toString(), 'new', 'and it does not stand in the way of the next')
  }
})

test('a secret is read back until its run is forgotten', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  const config = { url: 'x', password: 'canary' }
  await state.secrets.keep('r1', config)
  assert.deepEqual(await state.secrets.read('r1'), config)
  await forgetRun(state, 'r1')
  assert.equal(await state.secrets.read('r1'), undefined)
})

test('forgetting a run removes its journal, its secret and its torn tails, and nothing of another run', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  for (const run of ['r1', 'r12']) {
    await state.secrets.keep(run, {})
    await (await FileJournal.create(state.runs.where(run))).close()
    writeFileSync(`${state.runs.where(run)}.torn-1767323045000`, 'customer data')
  }
  await forgetRun(state, 'r1')
  assert.deepEqual(readdirSync(join(state.path, 'journal')).sort(), ['r12.jsonl', 'r12.jsonl.torn-1767323045000'])
  assert.deepEqual(readdirSync(join(state.path, 'secrets')), ['r12'])
  await forgetRun(state, 'r1')
})

test('secrets without a journal are forgotten, half-written ones too; those of open runs are not', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  for (const run of ['open', 'lost']) await state.secrets.keep(run, {})
  writeFileSync(join(state.path, 'secrets', '.half.tmp'), '{"password": "can')
  await (await FileJournal.create(state.runs.where('open'))).close()
  await forgetLostSecrets(state)
  assert.deepEqual(readdirSync(join(state.path, 'secrets')), ['open'])
})

test('reports older than asked are pruned, younger ones and unreadable ones are not', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  await state.history.keep(report('old', '2026-01-01T00:00:00.000Z'))
  await state.history.keep(report('young', '2026-01-09T00:00:00.000Z'))
  writeFileSync(join(state.path, 'history', 'a-broken-one.json'), '{')
  await pruneState(state, 5 * 86_400_000, Date.parse('2026-01-10T00:00:00.000Z'))
  assert.deepEqual(await state.history.list(), ['a-broken-one', 'young'])
})

test('journals are listed oldest first', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  const runs = [3, 1, 2].map((n) => mintRun(Date.UTC(2026, 0, n)))
  for (const run of runs) {
    const journal = await FileJournal.create(state.runs.where(run))
    await journal.append(started({ run }))
    await journal.close()
  }
  assert.deepEqual(
    (await state.runs.list()).map((s) => s.started?.run),
    [runs[1], runs[2], runs[0]],
  )
})

test('a journal that cannot be read is all damage and does not hide the others', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  const journal = await FileJournal.create(state.runs.where('r2'))
  await journal.append(started({ run: 'r2' }))
  await journal.append(planned(1))
  await journal.close()
  mkdirSync(state.runs.where('r1'))
  symlinkSync('/nowhere/at/all', state.runs.where('r3'))
  const states = await state.runs.list()
  assert.deepEqual(
    states.map((s) => [s.started?.run, s.steps.length, s.damage.length]),
    [
      [undefined, 0, 1],
      ['r2', 1, 0],
      [undefined, 0, 1],
    ],
  )
  assert.match(states[0]?.damage[0]?.reason ?? '', /EISDIR/)
})

test('a journal of a newer format is not passed over: the whole folder is left alone', async (t) => {
  const state = await openStateDir(temporaryFolder(t))
  const journal = await FileJournal.create(state.runs.where('r1'))
  await journal.append(started({ format: 9 }))
  await journal.close()
  await assert.rejects(state.runs.list(), { code: 'JOURNAL_NEWER' })
})

test('a folder that cannot be written is JOURNAL_WRITE and says which option to use', async (t) => {
  const file = join(temporaryFolder(t), 'a-file')
  writeFileSync(file, '')
  await assert.rejects(openStateDir(join(file, 'state')), (error) => {
    assert.ok(error instanceof JournalError)
    assert.equal(error.code, 'JOURNAL_WRITE')
    assert.match(error.message, /ENOTDIR.*--state-dir or CHAOS_STATE_DIR/)
    return true
  })
})

test('run ids sort by time and differ within one millisecond', () => {
  const ids = Array.from({ length: 50 }, () => mintRun(Date.UTC(2026, 10, 22, 3, 53, 10)))
  assert.equal(new Set(ids).size, 50)
  assert.match(ids[0]!, /^261122t035310[a-z2-7]{4}$/)
  assert.ok(mintRun(Date.UTC(2026, 10, 22, 3, 53, 11)) > ids[0]!)
  assert.match(randomName(12), /^[a-z2-7]{12}$/)
})

test('the disk reads and writes at positions, and refuses to follow a link to a journal', async (t) => {
  const folder = temporaryFolder(t)
  const file = await nodeDisk.open(join(folder, 'f'), 'create')
  await file.write(Buffer.from('hello world'), 0)
  await file.write(Buffer.from('W'), 6)
  assert.equal((await file.read(6, 100)).toString(), 'World')
  assert.equal((await file.read(100, 5)).length, 0)
  await file.truncate(5)
  assert.equal(await file.size(), 5)
  await file.close()
  await assert.rejects(nodeDisk.open(join(folder, 'f'), 'create'), { code: 'EEXIST' })
  symlinkSync(join(folder, 'f'), join(folder, 'link'))
  await assert.rejects(nodeDisk.open(join(folder, 'link'), 'write'), { code: 'ELOOP' })
})
