/** The check whether the state folder can be written. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { nodeDisk } from '../../src/journal/disk.ts'
import type { Disk } from '../../src/journal/disk.ts'
import { writeProbe } from '../../src/journal/probe.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'chaos-probe-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('a folder that can be written passes, also after a crash in the middle of the check, and nothing stays in it', async (t) => {
  const path = folder(t)
  await writeProbe(path)()
  writeFileSync(join(path, '.probe'), 'left by a crash')
  await writeProbe(path)()
  assert.deepEqual(readdirSync(path), [])
})

test('a folder that is gone, a full disk and a failed sync do not pass', async (t) => {
  const path = folder(t)
  await assert.rejects(writeProbe(join(path, 'gone'))(), /ENOENT/)
  for (const broken of ['write', 'datasync'] as const) {
    const disk: Disk = {
      ...nodeDisk,
      open: async (...args) => ({
        ...(await nodeDisk.open(...args)),
        [broken]: () => Promise.reject(new Error('EIO')),
      }),
    }
    await assert.rejects(writeProbe(path, disk)(), /EIO/)
  }
  assert.deepEqual(readdirSync(path), [])
})

test('a disk that hangs is asked once however many ask, and after an answer at most once a second', async (t) => {
  let [opened, now] = [0, 0]
  let go: () => void = () => undefined
  const disk: Disk = {
    ...nodeDisk,
    async open(...args) {
      opened += 1
      await new Promise<void>((resolve) => (go = resolve))
      return nodeDisk.open(...args)
    },
  }
  const probe = writeProbe(folder(t), disk, () => now)
  const asked = Array.from({ length: 50 }, () => probe())
  now = 60_000
  asked.push(probe())
  await new Promise((resolve) => setImmediate(resolve))
  while (opened === 0) await new Promise((resolve) => setImmediate(resolve))
  go()
  await Promise.all(asked)
  await probe()
  assert.equal(opened, 1)
  now += 2_000
  const next = probe()
  const openedAgain = (): boolean => opened === 2
  while (!openedAgain()) await new Promise((resolve) => setImmediate(resolve))
  go()
  await next
})
