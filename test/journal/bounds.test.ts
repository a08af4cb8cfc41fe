/** F13: a file of the state folder that is larger than anything we write, or has no end, is an error and fills no memory. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSmallFile } from '../../src/core/small-file.ts'
import { readHolder } from '../../src/supervisor/lock.ts'
import { readRegular } from '../../src/journal/regular.ts'
import { findStateDir, openStateDir } from '../../src/journal/state-dir.ts'
import { temporaryFolder } from './helpers.ts'

const FILES = [
  { name: 'install', read: (path: string) => findStateDir(path) },
  { name: 'daemon.json', read: (path: string) => readHolder(path) },
  { name: 'secrets/r1', read: async (path: string) => (await openStateDir(path)).secrets.read('r1') },
  { name: 'history/r1.json', read: async (path: string) => (await openStateDir(path)).history.read('r1') },
]
for (const { name, read } of FILES) {
  test(`${name} of 8 GiB, as a FIFO, a device or a link is refused at once, with what to do`, async (t) => {
    const path = join(temporaryFolder(t), 'state')
    await openStateDir(path)
    const file = join(path, name)
    const said: string[] = []
    const refused = async (make: () => unknown): Promise<void> => {
      rmSync(file, { force: true })
      make()
      await assert.rejects(read(path), (error: Error) => said.push(error.message) > 0)
    }
    await refused(() => {
      writeFileSync(file, '', { mode: 0o600 })
      truncateSync(file, 8 * 2 ** 30)
    })
    await refused(() => spawnSync('mkfifo', ['-m', '600', file]))
    await refused(() => symlinkSync('/dev/zero', file))
    if (process.geteuid?.() === 0) await refused(() => spawnSync('mknod', ['-m', '600', file, 'c', '1', '5']))
    rmSync(file)
    assert.match(said[0] ?? '', new RegExp(`${name}: EFBIG: it is larger than \\d+ MiB.* move it away`))
    assert.match(said[1] ?? '', /EFTYPE: a FIFO is there/)
    assert.match(said[2] ?? '', /ELOOP/)
    if (said.length > 3) assert.match(said[3] ?? '', /EFTYPE: a device is there|EACCES|ENXIO/)
  })
}

test('a file that says too little of its size is read up to the bound, and one of exactly the bound is read whole', async (t) => {
  const file = join(temporaryFolder(t), 'file')
  writeFileSync(file, Buffer.alloc(200_000, 'x'), { mode: 0o600 })
  assert.equal((await readRegular(file, 200_000)).length, 200_000)
  await assert.rejects(readRegular(file, 199_999), /EFBIG/)
  // Of the kernel: its size is 0.
  assert.ok((await readRegular('/proc/self/maps')).length > 0)
  await assert.rejects(readRegular('/proc/self/maps', 10), /EFBIG/)
})

test('a certificate or key that a configuration names is a plain file of at most 1 MiB', (t) => {
  const folder = temporaryFolder(t)
  const file = (name: string): string => join(folder, name)
  writeFileSync(file('real'), 'a certificate')
  symlinkSync('real', file('link'))
  assert.equal(readSmallFile(file('link')), 'a certificate')
  writeFileSync(file('large'), '')
  truncateSync(file('large'), 8 * 2 ** 30)
  assert.throws(() => readSmallFile(file('large')), /is larger than 1024 KiB/)
  spawnSync('mkfifo', [file('fifo')])
  mkdirSync(file('folder'))
  for (const other of [file('fifo'), file('folder'), '/dev/zero'])
    assert.throws(() => readSmallFile(other), /is not a file/)
})
