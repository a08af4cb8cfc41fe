import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isAlive } from '../../src/supervisor/lock.ts'
import { until } from '../fakes/clock.ts'
import { endWith, fast, folder, lock, startChild, stranger } from './helpers.ts'

test('of ten starts at once exactly one wins', async (t) => {
  const path = folder(t)
  const children = Array.from({ length: 10 }, () => startChild(t, path))
  await Promise.all(children.map((c) => c.ready))
  const answers = await Promise.all(children.map((c) => c.lock()))
  const winners = answers.filter((a) => a.won)
  assert.equal(winners.length, 1, JSON.stringify(answers))
  for (const { code, message } of answers.filter((a) => !a.won)) {
    assert.equal(code, 'LOCKED')
    assert.match(message ?? '', new RegExp(`pid ${winners[0]!.pid},`))
  }
})

test('an orphan that does not end by itself is ended when its time is over', async (t) => {
  const path = folder(t)
  const holder = startChild(t, path, 'orphan')
  const { worker } = await holder.lock()
  endWith(t, worker)
  holder.process.kill('SIGKILL')
  await until(() => holder.process.signalCode !== null, 'the holder does not die')
  const begun = fast.monotonic()
  const mine = await lock(path, fast)
  assert.ok(fast.monotonic() - begun >= 20_000, 'it has had its time')
  assert.equal(await isAlive({ pid: worker, start_time: '' }), false)
  await mine.release()
})

test('a pid that belongs to another process by now is neither taken for the holder nor ended as an orphan', async (t) => {
  const path = folder(t)
  const holder = startChild(t, path, 'orphan')
  const { worker } = await holder.lock()
  endWith(t, worker)
  holder.process.kill('SIGKILL')
  await until(() => holder.process.signalCode !== null, 'the holder does not die')
  const innocent = stranger(t)
  const note = JSON.parse(readFileSync(join(path, 'daemon.json'), 'utf8')) as object
  const workers = [{ pid: innocent, start_time: '1', run: 'r1' }]
  writeFileSync(join(path, 'daemon.json'), JSON.stringify({ ...note, pid: innocent, start_time: '1', workers }))
  await assert.rejects(lock(path, fast), { code: 'LOCKED', message: /left no note/ })
  assert.ok(await isAlive({ pid: innocent, start_time: '' }))
})
