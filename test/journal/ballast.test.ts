/** Room that is put by for undos: taken before a run, given to its undo when the disk is full, taken again later. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { BALLAST_BYTES, ballastOf } from '../../src/journal/file-ballast.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { fakeExperiment, FakeWorld } from '../fakes/agent.ts'
import { diskError, watched } from '../fakes/disk.ts'
import { makeRig, nodeDisk } from '../engine/helpers.ts'
import { temporaryFolder } from './helpers.ts'

const ROOT = process.getuid?.() === 0
const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const ab = fakeExperiment([{ params: { keys: ['a', 'b'] } }])

test('the ballast takes its room on the disk, is made once, and its room comes back when it is freed', async (t) => {
  const folder = temporaryFolder(t)
  const ballast = ballastOf(folder)
  await ballast.make()
  const { blocks, ino } = statSync(join(folder, 'ballast'))
  assert.ok(blocks * 512 >= BALLAST_BYTES, `${blocks} blocks`)
  await ballast.make()
  assert.equal(statSync(join(folder, 'ballast')).ino, ino)
  assert.deepEqual([await ballast.free(), await ballast.free(), readdirSync(folder)], [true, false, []])
})

test('a ballast that a crash left short is made anew', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'ballast'), 'short')
  writeFileSync(join(folder, '.ballast.tmp'), 'half')
  await ballastOf(folder).make()
  assert.deepEqual([statSync(join(folder, 'ballast')).size, readdirSync(folder)], [BALLAST_BYTES, ['ballast']])
})

test('without room for the ballast a run is refused with exit code 5, says so, and changes nothing', async (t) => {
  const world = new FakeWorld()
  const rig = await makeRig(t, world)
  const disk = watched(nodeDisk, (op, path) => {
    if (op === 'write' && path.includes('ballast')) throw diskError('ENOSPC')
  })
  const report = await rig.runOnDisk(ab, disk)
  assert.deepEqual([report.exit_code, world.log.some((l) => l.startsWith('apply'))], [5, false])
  assert.match(report.reason ?? '', /no run begins without 4194304 bytes.*ENOSPC.*--state-dir/)
  assert.deepEqual([await rig.state.runs.list(), await rig.state.secrets.read('r1')], [[], undefined])
  assert.equal(existsSync(join(rig.state.path, '.ballast.tmp')), false, 'what little it took is given back')
})

for (const [kind, setUp] of [
  ['tmpfs', () => ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs']],
  [
    'ext4',
    (image: string) => {
      execFileSync('truncate', ['-s', '32M', image])
      execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', image])
      return ['mount', '-o', 'loop', image]
    },
  ],
] as const) {
  test(
    `on a full ${kind} a run undoes and records everything in the ballast's room; the next one is refused until there is room again`,
    { skip: ROOT ? false : 'needs root to mount a file system' },
    async (t) => {
      const mounted = mount(t, setUp)
      const state = await openStateDir(join(mounted, 'state'))
      const world = new FakeWorld()
      const rig = await makeRig(t, world)
      // Somebody fills the disk to its last byte between the two steps.
      world.on('apply b', async ({ go, record }) => {
        fill(join(mounted, 'somebody'))
        // More than what is left in the last block of the file.
        await record({ rows: 'r'.repeat(20_000) })
        await go()
      })
      const report = await rig.run(ab, state)
      assert.deepEqual([report.exit_code, report.residue, world.state], [5, [], CLEAN], report.reason)
      assert.match(report.reason ?? '', /ENOSPC/)
      assert.deepEqual([await state.runs.list(), existsSync(join(state.path, 'ballast'))], [[], false])
      assert.equal((await state.history.read('r1'))?.exit_code, 5)
      fill(join(mounted, 'somebody-else'))
      assert.match((await rig.run(ab, { ...state, run: 'r2' })).reason ?? '', /no run begins without/)
      rmSync(join(mounted, 'somebody'))
      rmSync(join(mounted, 'somebody-else'), { force: true })
      world.off('apply b')
      assert.equal((await rig.run(ab, { ...state, run: 'r3' })).exit_code, 0)
      assert.equal(existsSync(join(state.path, 'ballast')), true)
    },
  )
}

/** A small file system that goes with the test. */
function mount(t: TestContext, setUp: (image: string) => string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-mount-'))
  const [command = '', ...args] = setUp(`${folder}.img`)
  execFileSync(command, [...args, folder], { stdio: 'pipe' })
  t.after(() => {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
    rmSync(`${folder}.img`, { force: true })
  })
  return folder
}

function fill(file: string): void {
  try {
    const { bavail, bsize } = statfsSync(join(file, '..'))
    writeFileSync(file, Buffer.alloc(bavail * bsize + 2 ** 20))
  } catch {
    // It is full now.
  }
  for (let size = 65_536; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' })
    } catch {
      // Not for so many bytes.
    }
  }
}
