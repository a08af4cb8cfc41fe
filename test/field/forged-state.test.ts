/**
 * F8, F10, F11, F13: journals and state folders that somebody else has written. Whatever stands in them, `status`, `recover`
 * and the page for a person run no statement, command or signal of theirs, and end with a documented code.
 * `CHAOS_FUZZ=N` for more draws, `CHAOS_SEED` for others.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { recover } from '../../src/cli/recover/recover.ts'
import { status } from '../../src/cli/controls/status.ts'
import type { Context } from '../../src/cli/context.ts'
import { stateDirOf } from '../../src/cli/context.ts'
import { systemClock } from '../../src/core/clock.ts'
import { CodedError, ERROR_CODES, messageOf } from '../../src/core/errors.ts'
import { shown } from '../../src/core/foreign.ts'
import { seededRandom } from '../../src/core/random.ts'
import type { Random } from '../../src/core/random.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'
import { noLock } from '../../src/supervisor/lock.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import type { WorkerHandle, WorkerOptions } from '../../src/supervisor/worker-process.ts'
import { recoverRun } from '../../src/engine/recover.ts'
import { refuseForeign } from '../../src/journal/exposed.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import { progress } from '../../src/observe/progress.ts'
import { harmless } from '../../src/core/events.ts'
import { targets } from '../../src/targets/index.ts'
import { seedOfCommit } from '../seed.ts'
import { forge, forgeFile, journalOf, recordsOf } from './forged/draw.ts'
import { clutter } from './forged/clutter.ts'
import { DIRECTED } from './forged/directed.ts'
import { forgedWorld, runScript } from './forged/world.ts'
import type { ForgedWorld } from './forged/world.ts'
import { hostileTexts } from './forged/words.ts'

const DRAWS = Number(process.env['CHAOS_FUZZ'] ?? 14)
const SEED = process.env['CHAOS_SEED'] ?? seedOfCommit()
const GOLDEN = fileURLToPath(new URL('../golden/format-1/', import.meta.url))
/** Of a command in process. An undo that gets nowhere gives up after `NO_PROGRESS_MS`. */
const LONGEST_MS = 60_000
const NO_PROGRESS_MS = 200
/** Then it ends: they are likely one. */
const MOST_PROBLEMS = 20
const CODES = new Set<number>([0, 1, 2, ...Object.values(ERROR_CODES)])

interface Base {
  run: string
  install: string
  journal: Buffer
  secret: unknown
}

describe('forged journals and state folders', { timeout: 60 * 60_000 }, () => {
  let world: ForgedWorld
  let bases: Base[]
  before(async () => {
    world = await forgedWorld()
    bases = [...world.real, ...world.real, ...world.real, ...goldenBases(world)]
  })
  after(() => world.stop())

  test('no statement, command or signal of theirs is executed by status, recover or what a person is told to run', async (t) => {
    const told: Record<string, number> = {}
    const count = (what: string): void => void (told[what] = (told[what] ?? 0) + 1)
    const problems: string[] = []
    let slowest = 0
    const draw = async (n: number): Promise<void> => {
      const random = seededRandom(`${SEED}/${n}`)
      const base = random.pick(bases)
      assert.ok(base)
      const stateDir = join(world.folder, 'state')
      rmSync(stateDir, { recursive: true, force: true })
      const changes = lay(stateDir, base, random, world)
      const where = `draw ${n} of ${SEED} (${base.run}): ${changes.join('; ')}`
      const begun = performance.now()
      const script = join(world.folder, 'undo.sh')
      rmSync(script, { force: true })
      const run = nameOf(stateDir) ?? base.run
      const commands: [string, (context: Context) => Promise<number>][] = [
        ['status', (context) => status(context, { stateDir })],
        ['status --json', (context) => status(context, { stateDir, json: true })],
        ['recover --dry-run', (context) => recover(context, { stateDir, dryRun: true })],
        ['recover --by-hand', (context) => recover(context, { stateDir, run, byHand: script })],
        ['recover', (context) => recoverHere(context, stateDir)],
        ['status afterwards', (context) => status(context, { stateDir })],
      ]
      for (const [name, command] of commands) {
        const { code, out } = await ran(command, `${where}: ${name}`)
        assert.ok(CODES.has(code), `${where}: ${name} ended with ${code}`)
        const raw = /[^\P{C}\n\t]/u.exec(out.replaceAll(/[\u200c\u200d]/g, ''))
        assert.equal(raw, null, `${where}: ${name} has written ${JSON.stringify(raw?.[0])}`)
        count(`${name.split(' ')[0] === 'status' ? 'status' : name}: ${code}`)
        assert.deepEqual(await world.harm(), [], `${where}: ${name}\n${out}`)
      }
      if (existsSync(script)) {
        const said = runScript(script, random.int(2) === 0 ? 'sh' : 'bash')
        assert.deepEqual(await world.harm(), [], `${where}: by hand\n${readFileSync(script, 'utf8')}\n${said}`)
        count('scripts run by hand')
      }
      slowest = Math.max(slowest, performance.now() - begun)
    }
    for (let n = 0; n < DRAWS && problems.length < MOST_PROBLEMS; n++)
      await draw(n).catch((error: unknown) => problems.push(messageOf(error).slice(0, 4_000)))
    t.diagnostic(`${DRAWS} draws, the slowest ${(slowest / 1_000).toFixed(1)} s: ${JSON.stringify(told)}`)
    assert.deepEqual(problems, [], problems.join('\n\n'))
    assert.ok((told['scripts run by hand'] ?? 0) > DRAWS / 10, 'too few draws came to a page')
  })

  for (const [what, forged] of Object.entries(DIRECTED)) {
    test(what, async () => {
      const base = world.real.find(({ skill }) => skill === forged.skill)
      assert.ok(base)
      const stateDir = join(world.folder, 'directed')
      rmSync(stateDir, { recursive: true, force: true })
      for (const folder of ['', 'journal', 'secrets']) mkdirSync(join(stateDir, folder), { mode: 0o700 })
      const records = recordsOf(base.journal) as { data?: object; facts?: object }[]
      for (const record of records) forged.change?.(record, world)
      const write = (name: string, text: string | Buffer): void =>
        writeFileSync(join(stateDir, name), text, { mode: 0o600 })
      write('install', `${base.install}\n`)
      write(`journal/${base.run}.jsonl`, journalOf(records as never))
      write(`secrets/${base.run}`, JSON.stringify(forged.secret?.(world) ?? base.secret))
      if (forged.note) write('daemon.json', JSON.stringify(forged.note(world)))
      const script = join(stateDir, 'undo.sh')
      for (const command of [
        (context: Context) => status(context, { stateDir }),
        (context: Context) => recover(context, { stateDir, run: base.run, byHand: script }),
        (context: Context) => recoverHere(context, stateDir),
      ]) {
        const { out } = await ran(command, what)
        assert.deepEqual(await world.harm(), [], out)
      }
      const said = existsSync(script) ? runScript(script, 'sh') : ''
      assert.deepEqual(await world.harm(), [], said)
    })
  }
})

function nameOf(stateDir: string): string | undefined {
  try {
    return readdirSync(join(stateDir, 'journal'))[0]?.replace(/\.jsonl$/, '')
  } catch {
    return undefined
  }
}

/** Writes a state folder with one forged journal, and often other files of others. Returns what was changed. */
function lay(stateDir: string, base: Base, random: Random, world: ForgedWorld): string[] {
  for (const folder of ['', 'journal', 'secrets', 'history']) mkdirSync(join(stateDir, folder), { mode: 0o700 })
  writeFileSync(join(stateDir, 'install'), `${random.int(4) === 0 ? 'other1' : base.install}\n`, { mode: 0o600 })
  // Most say which run they are of, so that the rest of them is read.
  const { records, changes } = forge(recordsOf(base.journal), random, world.bait)
  const first = records.find((record) => (record as { type?: unknown } | null)?.type === 'run.started')
  let name = base.run
  if (random.int(12) === 0) {
    name = fileName(random.pick(hostileTexts(world.bait)) ?? '')
    if (first) Object.assign(first, { run: name })
    changes.push(`called ${name}`)
  } else if (first && random.int(20) > 0) Object.assign(first, { run: base.run })
  writeFileSync(join(stateDir, 'journal', `${name}.jsonl`), journalOf(records), { mode: 0o600 })
  const hasSecret = random.int(10) > 0
  const secret = random.int(3) > 0 ? JSON.stringify(base.secret) : forgeFile(base.secret as never, random, world.bait)
  if (hasSecret) writeFileSync(join(stateDir, 'secrets', name), secret, { mode: 0o600 })
  if (hasSecret && secret !== JSON.stringify(base.secret)) changes.push(`secret ${secret.slice(0, 200)}`)
  if (random.int(3) === 0) changes.push(...clutter(stateDir, name, random, world.bait))
  return changes
}

function fileName(text: string): string {
  const name = text.replaceAll(/[/\0\ud800-\udfff]/g, '_').slice(0, 60)
  return /^[^.]/.test(name) ? name : `r${name}`
}

function goldenBases(world: ForgedWorld): Base[] {
  return readdirSync(GOLDEN)
    .filter((name) => /^[a-z].*[a-z]\.jsonl$/.test(name))
    .map((name) => {
      const journal = readFileSync(join(GOLDEN, name))
      const { run, install } = recordsOf(journal)[0] as { run: string; install: string }
      const app = { app: 'shop', sockets: [join(world.folder, 'no.sock')] }
      const secret = name.startsWith('app.')
        ? app
        : { connection_url: world.bait.url, db_type: 'postgres', schemas: [] }
      return { run, install, journal, secret }
    })
}

async function ran(
  command: (context: Context) => Promise<number>,
  where: string,
): Promise<{ code: number; out: string }> {
  let out = ''
  const write = (text: string): void => void (out += shown(text))
  const context: Context = {
    ...{ main: '', version: '', env: {}, tty: false },
    targets: () => Promise.resolve(targets),
    out: write,
    err: write,
  }
  let late: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`${where} does not end`)), LONGEST_MS)
  })
  try {
    const code = await Promise.race([command(context), limit])
    return { code, out }
  } catch (error) {
    // As the program does: its own errors have a code, everything else is a bug.
    assert.ok(error instanceof CodedError, `${where}: ${error instanceof Error ? error.stack : String(error)}`)
    write(messageOf(error))
    return { code: error.exitCode, out }
  } finally {
    clearTimeout(late)
  }
}

/** `chaos recover` with its worker in this process. */
async function recoverHere(context: Context, given: string): Promise<number> {
  const stateDir = stateDirOf(given, {})
  refuseForeign(stateDir)
  const state = await openStateDir(stateDir, { ballastBytes: 4096 })
  const supervisor = new Supervisor({
    ...{
      state,
      lock: noLock,
      claims: new LocalClaims(),
      main: '',
      targets,
      clock: systemClock,
      experiments: () => [],
      startWorker: workerHere,
    },
    emit: harmless(progress({ write: (text) => context.out(text), screen: { tty: false, env: {} } })),
  })
  const reports = await supervisor.recoverAll({ noProgressMs: NO_PROGRESS_MS })
  context.out(`${JSON.stringify(supervisor.blocked.map(({ reason }) => reason))}\n`)
  return supervisor.blocked.length > 0 ? 4 : (reports[0]?.exit_code ?? 0)
}

function workerHere({ job, onEvent }: WorkerOptions): Promise<WorkerHandle> {
  assert.ok(job.kind === 'recover')
  const target = targets.find(({ name }) => name === job.target)
  const recovering = async (): Promise<Awaited<WorkerHandle['result']>> => {
    if (!target) throw new CodedError('TARGET_FAILED', `this version has no target ${job.target}`)
    const state = await openStateDir(job.state_dir, { ballastBytes: 4096 })
    const emit = (event: object): void =>
      onEvent({ ...event, at: new Date().toISOString(), run: job.run } as Parameters<typeof onEvent>[0])
    const report = await recoverRun({
      ...{ ...state, run: job.run, target, targetConfigs: job.target_configs, noProgressMs: job.no_progress_ms, emit },
      ...{ clock: systemClock, signal: new AbortController().signal, isLive: () => Promise.resolve(false) },
    })
    return { kind: 'report', report }
  }
  const result = recovering()
  result.catch(() => undefined)
  return Promise.resolve({ result, abort: () => undefined, kill: () => undefined })
}
