/** The pid file: what may be replaced, what may not, and whose it is at the end. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { CodedError } from '../../src/core/errors.ts'
import { checkPidFile, readPidFile, writePidFile } from '../../src/daemon/pid-file.ts'
import { whoIs } from '../../src/daemon/find-daemon.ts'
import { until } from '../fakes/clock.ts'
import { endWith, folder, startChild, stranger } from '../supervisor/helpers.ts'

/** Checks that both the look beforehand and the writing fail, and that the folder stays as it was. */
async function refused(file: string, exitCode: number, message: RegExp): Promise<void> {
  const before = readdirSync(join(file, '..'))
  for (const attempt of [checkPidFile, writePidFile]) {
    await assert.rejects(attempt(file), (error) => {
      assert.ok(error instanceof CodedError, String(error))
      assert.equal(error.exitCode, exitCode, error.message)
      assert.match(error.message, message)
      return true
    })
  }
  assert.deepEqual(readdirSync(join(file, '..')), before)
}

test('it holds the pid alone, can be read by everybody whatever the umask, and leaves nothing behind', async (t) => {
  const dir = folder(t)
  const file = join(dir, 'chaos.pid')
  const before = process.umask(0o077)
  t.after(() => process.umask(before))
  await checkPidFile(file)
  assert.deepEqual(readdirSync(dir), [], 'a look leaves nothing')
  const written = await writePidFile(file)
  assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`)
  assert.equal(lstatSync(file).mode & 0o777, 0o644)
  assert.deepEqual(readdirSync(dir), ['chaos.pid'])
  await written.remove()
  assert.deepEqual(readdirSync(dir), [])
})

test('only its owner removes it: not once somebody else has written or renamed another one there', async (t) => {
  const file = join(folder(t), 'chaos.pid')
  const written = await writePidFile(file)
  writeFileSync(file, '1\n')
  await written.remove()
  assert.equal(readFileSync(file, 'utf8'), '1\n', 'the same file with another pid')
  writeFileSync(`${file}.new`, `${process.pid}\n`)
  renameSync(`${file}.new`, file)
  await written.remove()
  assert.ok(existsSync(file), 'another file with the same pid')
})

test('a file of a dead process, an empty one, and one with our own pid from an earlier boot are replaced', async (t) => {
  const dead = spawn('true')
  await until(() => dead.exitCode !== null, 'true does not end')
  for (const content of [`${dead.pid}\n`, '', '\n', `${process.pid}`, '4194999\n']) {
    const file = join(folder(t), 'chaos.pid')
    writeFileSync(file, content)
    await checkPidFile(file)
    const written = await writePidFile(file)
    assert.equal(readFileSync(file, 'utf8'), `${process.pid}\n`, JSON.stringify(content))
    await written.remove()
    assert.deepEqual(readdirSync(join(file, '..')), [])
  }
})

test('the pid of another program is stale, even of one that has "daemon" in its command line', async (t) => {
  const { pid = 0 } = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1e6)', 'main.js', 'daemon'])
  endWith(t, pid)
  for (const other of [stranger(t), pid]) {
    const file = join(folder(t), 'chaos.pid')
    writeFileSync(file, `${other}\n`)
    assert.deepEqual(await whoIs(other), { kind: 'stranger' })
    await (await writePidFile(file)).remove()
  }
})

test('the pid of a living daemon ends with 75, naming the daemon, its state folder and the file', async (t) => {
  const [state, dir] = [folder(t), folder(t)]
  const daemon = startChild(t, state)
  const { pid } = await daemon.lock()
  const file = join(dir, 'chaos.pid')
  writeFileSync(file, `${pid}\n`)
  await refused(file, 75, new RegExp(`${file} is the pid file of chaos daemon \\(pid ${pid}, since 20.*${state}`))
  assert.equal(readFileSync(file, 'utf8'), `${pid}\n`)
  daemon.process.kill('SIGKILL')
  await until(() => daemon.process.signalCode !== null, 'the daemon does not die')
  assert.deepEqual(await whoIs(pid), { kind: 'gone' })
  await (await writePidFile(file)).remove()
})

test('a symbolic link is refused and its target left alone, whether there is one or not', async (t) => {
  const dir = folder(t)
  writeFileSync(join(dir, 'precious'), 'precious\n')
  for (const target of ['precious', 'nothing']) {
    symlinkSync(join(dir, target), join(dir, `${target}.pid`))
    await refused(join(dir, `${target}.pid`), 2, /is a symbolic link, which is not followed/)
  }
  assert.equal(readFileSync(join(dir, 'precious'), 'utf8'), 'precious\n')
  assert.equal(existsSync(join(dir, 'nothing')), false)
})

test('a file that is no pid file, and what is no file, are not replaced', async (t) => {
  const dir = folder(t)
  for (const content of ['root:x:0:0\n', '12 13\n', '-1\n', '0\n', '1e3', 'x'.repeat(10_000)]) {
    writeFileSync(join(dir, 'own'), content)
    await refused(join(dir, 'own'), 2, /is there and is not a pid file/)
    assert.equal(readFileSync(join(dir, 'own'), 'utf8'), content)
  }
  mkdirSync(join(dir, 'folder'))
  await refused(join(dir, 'folder'), 2, /is not a file/)
})

test('a folder that is not there, or cannot be written, is an error that names it before anything is written', async (t) => {
  await assert.rejects(checkPidFile(join(folder(t), 'no', 'chaos.pid')), /there is no folder .*no for .*chaos\.pid/)
  // Also for root, whom modes do not stop.
  for (const attempt of [checkPidFile, writePidFile])
    await assert.rejects(attempt('/proc/chaos.pid'), /cannot be written/)
})

test('of ten that replace one stale file at the same time none leaves it without its pid', async (t) => {
  const file = join(folder(t), 'chaos.pid')
  for (let round = 0; round < 20; round++) {
    writeFileSync(file, '4194999\n')
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => writePidFile(file)))
    assert.ok(all.some((one) => one.status === 'fulfilled'))
    assert.equal(await readPidFile(file), process.pid)
    for (const one of all) if (one.status === 'fulfilled') await one.value.remove()
    assert.deepEqual(readdirSync(join(file, '..')), [])
  }
})
