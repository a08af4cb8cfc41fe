import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { CodedError } from '../../src/core/errors.ts'
import { isAlive, readHolder } from '../../src/supervisor/lock.ts'
import { until } from '../fakes/clock.ts'
import { endWith, folder, lock, startChild, stranger } from './helpers.ts'

function isTaken(stateDir: string): boolean {
  return spawnSync('flock', ['-n', '-x', join(stateDir, 'lock'), 'true']).status !== 0
}

function withoutFlock(t: TestContext): () => void {
  const before = process.env['PATH']
  const back = (): void => void (process.env['PATH'] = before)
  process.env['PATH'] = folder(t)
  t.after(back)
  return back
}

test('a second process is LOCKED, exit code 75, and told who holds it; after the first has died at once it is not', async (t) => {
  const path = folder(t)
  const first = startChild(t, path)
  const { pid } = await first.lock()
  await assert.rejects(lock(path), (error) => {
    assert.ok(error instanceof CodedError)
    assert.deepEqual([error.code, error.exitCode], ['LOCKED', 75])
    assert.match(error.message, new RegExp(`in use by chaos daemon \\(pid ${pid}, since 20`))
    return true
  })
  first.process.kill('SIGKILL')
  await until(() => first.process.signalCode !== null, 'the first does not die')
  const mine = await lock(path)
  assert.equal((await readHolder(path))?.pid, process.pid)
  await mine.release()
})

test('after the holder is killed the lock stays taken until what inherited it is gone', async (t) => {
  const path = folder(t)
  const holder = startChild(t, path, 'orphan')
  const { worker } = await holder.lock()
  endWith(t, worker)
  holder.process.kill('SIGKILL')
  await until(() => holder.process.signalCode !== null, 'the holder does not die')
  assert.ok(isTaken(path), 'an orphan has it')
  let got = false
  const locking = lock(path).then((mine) => {
    got = true
    return mine
  })
  await sleep(500)
  assert.ok(!got, 'it waits for the orphan')
  process.kill(worker, 'SIGKILL')
  await (await locking).release()
})

test('a process is alive by pid and start time; a zombie and a pid without a process are not', async (t) => {
  const pid = stranger(t)
  const startTime =
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[19] ?? ''
  assert.equal(await isAlive({ pid, start_time: startTime }), true)
  assert.equal(await isAlive({ pid, start_time: `${startTime}0` }), false)
  // A shell that starts a child and becomes something that never asks for its end.
  const parent = spawn('sh', ['-c', 'sleep 1 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
  endWith(t, parent.pid ?? 0)
  const [zombie] = (await new Promise<Buffer>((resolve) => parent.stdout.once('data', resolve))).toString().split('\n')
  const id = { pid: Number(zombie), start_time: '' }
  await until(() => readFileSync(`/proc/${id.pid}/stat`, 'utf8').includes(') Z '), 'it does not become a zombie')
  assert.equal(await isAlive(id), false)
  assert.equal(await isAlive({ pid: 2 ** 22 + 1, start_time: '' }), false)
})

test('a lock file that is a link is refused and what it leads to is not touched', async (t) => {
  const path = folder(t)
  const elsewhere = join(folder(t), 'precious')
  writeFileSync(elsewhere, 'precious')
  symlinkSync(elsewhere, join(path, 'lock'))
  await assert.rejects(lock(path), { code: 'JOURNAL_WRITE', message: /ELOOP/ })
  assert.equal(readFileSync(elsewhere, 'utf8'), 'precious')
})

test('the note names every worker, also of many that are added and removed at once', async (t) => {
  const path = folder(t)
  const mine = await lock(path)
  await Promise.all(Array.from({ length: 20 }, (_, i) => mine.addWorker(100_000 + i, `r${i}`)))
  assert.equal((await readHolder(path))?.workers.length, 20)
  await Promise.all(Array.from({ length: 19 }, (_, i) => mine.removeWorker(100_000 + i)))
  assert.deepEqual(
    (await readHolder(path))?.workers.map((w) => w.run),
    ['r19'],
  )
  await mine.release()
})

test('a note that cannot be written is an error for the worker that it should name, and not for the next', async (t) => {
  const path = folder(t)
  const mine = await lock(path)
  mkdirSync(join(path, 'daemon.json.tmp'))
  await assert.rejects(mine.addWorker(100_000, 'r1'))
  rmSync(join(path, 'daemon.json.tmp'), { recursive: true })
  await mine.addWorker(100_001, 'r2')
  await mine.release()
})

test('who has released the lock does not write over the note of the next holder', async (t) => {
  const path = folder(t)
  const first = await lock(path)
  await first.addWorker(100_000, 'r1')
  await first.release()
  const second = await lock(path)
  await second.addWorker(100_001, 'r2')
  await first.removeWorker(100_000)
  assert.deepEqual(
    (await readHolder(path))?.workers.map((w) => w.run),
    ['r2'],
  )
  await second.release()
})

test('without flock on the PATH a lock folder keeps two processes apart', async (t) => {
  const path = folder(t)
  withoutFlock(t)
  const mine = await lock(path)
  assert.ok(existsSync(join(path, 'lock.d')))
  await assert.rejects(lock(path), { code: 'LOCKED', message: new RegExp(`pid ${process.pid},`) })
  await mine.release()
  await (await lock(path)).release()
})

test('without flock on the PATH somebody who holds it with flock is not overlooked', async (t) => {
  const path = folder(t)
  const { pid } = await startChild(t, path).lock()
  withoutFlock(t)
  await assert.rejects(lock(path), { code: 'LOCKED', message: new RegExp(`pid ${pid},`) })
})

test('with flock somebody who holds it without is not overlooked', async (t) => {
  const path = folder(t)
  const back = withoutFlock(t)
  const mine = await lock(path)
  back()
  await assert.rejects(lock(path), { code: 'LOCKED', message: new RegExp(`pid ${process.pid},`) })
  await mine.release()
  await (await lock(path)).release()
})
