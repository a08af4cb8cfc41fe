/** Real power cuts: the file system under a state folder is shut down in the middle of a run, as if the plug were pulled. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nodeDisk } from '../../src/journal/disk.ts'
import { FakeWorld, fakeTarget } from '../fakes/agent.ts'
import { effectsOf, recoverOn, START } from './disk-world.ts'

/** Cuts per file system; more where somebody has the time. */
const CUTS = Number(process.env['CHAOS_POWER_CUTS'] ?? 7)
const WRITER = fileURLToPath(new URL('power-writer.ts', import.meta.url))
const NO_DATASYNC = fileURLToPath(new URL('no-datasync.mjs', import.meta.url))

const KINDS = {
  ext4: { megabytes: 64, mkfs: ['mkfs.ext4', '-q', '-F'], options: 'loop' },
  // Smaller ones are refused by mkfs.xfs.
  xfs: { megabytes: 320, mkfs: ['mkfs.xfs', '-q', '-f'], options: 'loop,nouuid' },
}

for (const kind of ['ext4', 'xfs'] as const) {
  test(
    `${CUTS} real power cuts on ${kind} leave nothing behind`,
    { timeout: 20 * 60_000, skip: whyNot(kind) },
    async (t) => {
      const machine = plugIn(t, kind)
      const left = await machine.cuts(CUTS)
      t.diagnostic(`power cuts on ${kind}: ${CUTS}, residue: ${left.length}`)
      assert.deepEqual(left, [])
    },
  )

  test(
    `the same power cuts on ${kind} leave something behind where fdatasync does nothing`,
    { timeout: 20 * 60_000, skip: whyNot(kind) },
    async (t) => {
      const machine = plugIn(t, kind)
      const left = await machine.cuts(CUTS, ['--import', NO_DATASYNC])
      t.diagnostic(`canary on ${kind}: ${left.length} failures in ${CUTS} power cuts`)
      assert.ok(left.length > 0)
    },
  )
}

/** A file system of its own on a loop device, with a target beside it that no power cut reaches. */
class Machine {
  readonly #dir = mkdtempSync(join(tmpdir(), 'chaos-power-'))
  readonly #disk = join(this.#dir, 'disk')
  #image = join(this.#dir, 'image')
  readonly #values = join(this.#dir, 'values.json')
  readonly #state = join(this.#disk, 'state')

  readonly #options: string

  constructor({ megabytes, mkfs, options }: (typeof KINDS)['ext4']) {
    this.#options = options
    const [command = '', ...args] = mkfs
    mkdirSync(this.#disk)
    execFileSync('truncate', ['-s', `${megabytes}M`, this.#image])
    execFileSync(command, [...args, this.#image], { stdio: 'pipe' })
    this.#mount()
  }

  /** What is left after each of so many cuts, spread over two runs. */
  async cuts(many: number, node: string[] = []): Promise<string[]> {
    const steps = Number(this.#write(0, node).stdout)
    assert.ok(steps > 2 * many, `only ${steps} steps`)
    const left: string[] = []
    for (let n = 0; n < many; n++) {
      const cut = 1 + Math.floor(((n + 0.5) * steps) / many)
      rmSync(this.#state, { recursive: true })
      execFileSync('sync', ['-f', this.#disk])
      const { signal, stderr } = this.#write(cut, node)
      assert.equal(signal, 'SIGKILL', `the power did not go at step ${cut}: ${stderr}`)
      this.#plugInAgain()
      left.push(...(await this.#recover()).map((what) => `cut at step ${cut} of ${steps}: ${what}`))
    }
    return left
  }

  unplug(): void {
    this.#umount()
    rmSync(this.#dir, { recursive: true })
  }

  #write(cut: number, node: string[]) {
    writeFileSync(this.#values, JSON.stringify(START))
    const args = ['--import', './scripts/ts.mjs', ...node, WRITER, this.#state, this.#values, `${cut}`, this.#disk]
    return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 120_000 })
  }

  async #recover(): Promise<string[]> {
    const world = new FakeWorld(JSON.parse(readFileSync(this.#values, 'utf8')) as Record<string, string>)
    const { open } = await recoverOn(nodeDisk, world, fakeTarget(world), this.#state)
    const files = ['journal', 'secrets'].flatMap((folder) => readdirSync(join(this.#state, folder)))
    return [...effectsOf(world), ...open.map((o) => `${o.run} is open: ${o.reason}`), ...files]
  }

  /** From a copy: while another mount namespace still has the old one, mounting it again would only find it shut down. */
  #plugInAgain(): void {
    this.#umount()
    const next = this.#image.endsWith('image') ? `${this.#image}-2` : join(this.#dir, 'image')
    execFileSync('cp', ['--sparse=always', this.#image, next])
    rmSync(this.#image)
    this.#image = next
    this.#mount()
  }

  #mount(): void {
    execFileSync('mount', ['-o', this.#options, this.#image, this.#disk], { stdio: 'pipe' })
  }

  #umount(): void {
    execFileSync('umount', [this.#disk], { stdio: 'pipe' })
  }
}

function whyNot(kind: keyof typeof KINDS): string | false {
  if (process.getuid?.() !== 0) return 'needs root to mount a file system'
  const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
  const missing = [`mkfs.${kind}`, 'perl', 'losetup'].filter((command) => !has(command))
  if (missing.length > 0) return `needs ${missing.join(', ')}`
  return existsSync('/dev/loop-control') ? false : 'needs loop devices'
}

function plugIn(t: TestContext, kind: keyof typeof KINDS): Machine {
  const machine = new Machine(KINDS[kind])
  t.after(() => machine.unplug())
  return machine
}
