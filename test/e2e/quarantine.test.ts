/** An undo that kills whoever tries it, with real processes: counted, quarantined, handed over, and lifted by a person only. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'

const MAIN = fileURLToPath(new URL('../fakes/deadly-chaos.ts', import.meta.url))
const CLEAN = { a: '1', b: '2', c: '3', d: '4' }
const TIMEOUT = { timeout: 10 * 60_000 }

interface Exit {
  code: number | null
  out: string
}

interface Rig {
  state: string
  folder: string
  /** The only open run. */
  run(): string
  start(...args: string[]): { child: ChildProcess; exit: Promise<Exit>; out(): string }
  chaos(...args: string[]): Promise<Exit>
  tries(of?: string): number
  values(): unknown
  deadly(is: boolean): void
  config: string
}

function rigFor(t: TestContext, keys = ['a', 'b', 'c'], touches: string[] = [], more: object = {}): Rig {
  const folder = mkdtempSync(join(tmpdir(), 'chaos-deadly-'))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const [state, world, config] = [join(folder, 'state'), join(folder, 'world'), join(folder, 'c.yaml')]
  const skills = [{ skill_name: 'fake.write', params: { keys, touches } }]
  const target_config = { url: 'fake://one', password: 'canary-password' }
  const experiments = [{ name: 'deadly', target: 'fake', target_config, skills, duration: '1s', ...more }]
  writeFileSync(config, stringify({ experiments }))
  writeFileSync(world, JSON.stringify(CLEAN))
  const start: Rig['start'] = (...args) => {
    const env = { ...process.env, CHAOS_STATE_DIR: state, TMPDIR: folder }
    const child = spawn(process.execPath, ['--import', './scripts/ts.mjs', MAIN, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.after(() => child.kill('SIGKILL'))
    let out = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (out += text.toString()))
    return {
      child,
      exit: new Promise((resolve) => child.on('close', (code) => resolve({ code, out }))),
      out: () => out,
    }
  }
  return {
    ...{ state, folder, config, start },
    run: () => (readdirSync(join(state, 'journal'))[0] ?? '').replace(/\..*/, ''),
    chaos: (...args) => start(...args).exit,
    tries: (of = 'b') =>
      readFileSync(`${world}.log`, 'utf8')
        .split('\n')
        .filter((line) => line === `revert ${of}`).length,
    values: () => JSON.parse(readFileSync(world, 'utf8')) as unknown,
    deadly: (is) => (is ? writeFileSync(`${world}.deadly`, '') : rmSync(`${world}.deadly`)),
  }
}

/** The first of a daemon's own tries comes after 5 s, in a process that has to start; patience for twenty times that. */
async function until(holds: () => boolean, otherwise: string): Promise<void> {
  const end = Date.now() + 120_000
  while (!holds()) {
    if (Date.now() > end) throw new Error(otherwise)
    await sleep(50)
  }
}

/** Until the next recovery has nothing to try: the run's own worker and two recoveries have died of it. */
async function killThree(rig: Rig): Promise<void> {
  rig.deadly(true)
  const ran = await rig.chaos('run', rig.config)
  assert.equal(ran.code, 4, ran.out)
  const again = await rig.chaos('recover')
  assert.equal(again.code, 4, again.out)
  assert.equal(rig.tries(), 3)
}

test(
  'the third death quarantines the undo: the others are undone, nothing tries it again, and --retry does',
  TIMEOUT,
  async (t) => {
    const rig = rigFor(t)
    await killThree(rig)
    const run = rig.run()
    assert.deepEqual(rig.values(), { ...CLEAN, a: 'chaos by fake.write', b: 'chaos by fake.write' })

    const quarantined = await rig.chaos('recover')
    assert.deepEqual([quarantined.code, rig.tries()], [4, 3], quarantined.out)
    assert.deepEqual(rig.values(), { ...CLEAN, b: 'chaos by fake.write' }, 'what does not depend on it is undone')
    const page = [
      new RegExp(`run ${run} \\(deadly\\) is not undone: 1 step\\. .* refused to new runs`),
      /on {7}fake:\/\/one \(id one\)/,
      /step 2 {2}fake\.write: fake\.write b\n {2}changed {2}db\.b, since 20\d\d-/,
      /why .*its undo has ended its worker 3 times since this machine was started/,
      /by hand, in a shell:\nput b 2\n/,
      new RegExp(`chaos recover --run ${run} --step 2 --retry `),
      new RegExp(`chaos recover --run ${run} --step 2 --accept-residue --note 'why'`),
    ]
    for (const part of page) assert.match(quarantined.out, part)
    const shown = await rig.chaos('recover', '--dry-run')
    for (const part of page) assert.match(shown.out, part)

    const fourth = await rig.chaos('recover')
    assert.deepEqual([fourth.code, rig.tries()], [4, 3], fourth.out)
    const refused = await rig.chaos('run', rig.config)
    assert.deepEqual([refused.code, rig.tries()], [4, 3], refused.out)
    assert.match(refused.out, new RegExp(`blocked by run ${run}`))
    const status = await rig.chaos('status')
    assert.match(status.out, new RegExp(`step 2 is quarantined; what to do: chaos recover --run ${run} --dry-run`))
    assert.match((await rig.chaos('report', run)).out, new RegExp(`chaos recover --run ${run} --dry-run`))

    const stillDeadly = await rig.chaos('recover', '--run', run, '--step', '2', '--retry')
    assert.deepEqual([stillDeadly.code, rig.tries()], [4, 4], stillDeadly.out)
    const again = await rig.chaos('recover')
    assert.deepEqual([again.code, rig.tries()], [4, 4], 'one more death is enough')

    rig.deadly(false)
    assert.deepEqual([(await rig.chaos('recover')).code, rig.tries()], [4, 4], 'that the cause is gone nobody can know')
    const done = await rig.chaos('recover', '--run', run, '--retry')
    assert.deepEqual([done.code, rig.tries(), rig.values()], [0, 5, CLEAN], done.out)
    assert.equal((await rig.chaos('recover', '--dry-run')).code, 0)
    const after = await rig.chaos('run', rig.config)
    assert.deepEqual([after.code, rig.values()], [0, CLEAN], after.out)
  },
)

test('what depends on a quarantined step waits for it, until an operator accepts that it stays', TIMEOUT, async (t) => {
  const rig = rigFor(t, ['a', 'b'], ['shared'])
  await killThree(rig)
  const quarantined = await rig.chaos('recover')
  assert.deepEqual([quarantined.code, rig.tries(), rig.tries('a')], [4, 3, 0], quarantined.out)
  assert.match(quarantined.out, /step 1 {2}fake\.write: fake\.write a: waits for step 2, and is then undone by --retry/)
  const run = rig.run()
  const file = join(rig.folder, 'undo.sh')
  const wrote = await rig.chaos('recover', '--run', run, '--by-hand', file)
  assert.equal(wrote.code, 0, wrote.out)
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const script = readFileSync(file, 'utf8')
  assert.ok(script.indexOf('put b 2') < script.indexOf('put a 1') && script.includes('put b 2'), script)
  assert.equal((await rig.chaos('recover', '--run', run, '--by-hand', file)).code, 2, 'never over a file that is there')
  const wrong = await rig.chaos('recover', '--run', run, '--step', '7', '--retry')
  assert.match(wrong.out, /step 7 is not pending; there is 1, 2/)
  const accepted = await rig.chaos('recover', '--run', run, '--step', '2', '--accept-residue', '--note', 'seen')
  assert.deepEqual([accepted.code, rig.tries(), rig.tries('a')], [0, 3, 1], accepted.out)
  assert.deepEqual(rig.values(), { ...CLEAN, b: 'chaos by fake.write' })
})

test('a daemon does not try a quarantined step again, says so, and lifts it through its socket', TIMEOUT, async (t) => {
  const rig = rigFor(t, ['a', 'b'], [], { schedule: '0 0 0 29 2 *' })
  await killThree(rig)
  const run = rig.run()
  const daemon = rig.start('daemon', rig.config, '--json')
  await until(() => daemon.out().includes('"daemon.ready"'), 'it does not become ready')
  // The first of its own tries comes after 5 s.
  await until(() => /"recovery.retry".*"quarantined":\[2\]/.test(daemon.out()), 'it does not tell')
  assert.equal(rig.tries(), 3, daemon.out())
  const status = await rig.chaos('status')
  assert.match(status.out, new RegExp(`blocked: fake://one by run ${run}.*step 2 is quarantined`))
  const asked = await rig.chaos('recover', '--run', run)
  assert.deepEqual([asked.code, rig.tries()], [4, 3], asked.out)
  assert.match(asked.out, /by hand, in a shell:\nput b 2\n/)
  rig.deadly(false)
  const lifted = await rig.chaos('recover', '--run', run, '--retry')
  assert.deepEqual([lifted.code, rig.tries(), rig.values()], [0, 4, CLEAN], lifted.out)
  daemon.child.kill('SIGTERM')
  assert.equal((await daemon.exit).code, 0)
})
