/** `chaos selftest`: each skill run in a sandbox, its worker killed at every record of its journal, and what is left then. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CodedError, ERROR_CODES } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import { pictureDiff } from '../core/sandbox.ts'
import type { Sandbox } from '../core/sandbox.ts'
import type { Target } from '../core/target.ts'
import { systemClock } from '../core/clock.ts'
import { killAtRecord } from '../supervisor/kill-at.ts'
import { refuseProtected } from '../engine/plan.ts'
import { mintRun } from '../journal/names.ts'
import { json, table } from './context.ts'
import type { Context } from './context.ts'
import { supervised } from './supervised.ts'
import type { Supervised } from './supervised.ts'

export interface SelftestOptions {
  quick?: boolean
  json?: boolean
  url?: string
}

export interface SkillTest {
  skill: string
  /** Records of the journal, after each of which the worker was to be killed… */
  kill_points: number
  /** …and how many of these kills it did not forestall by ending. */
  killed: number
  residue: string[]
  /** Why it could not be tried here. */
  skipped?: string
}

/** Between apply and undo, so that the two are told apart. */
const SOAK_MS = 100
const QUICK_POINTS = 3
const NO_PROGRESS_MS = 30_000

export async function selftest(context: Context, options: SelftestOptions): Promise<number> {
  const targets = (await context.targets()).filter((target) => target.sandbox !== undefined)
  const stateDir = mkdtempSync(join(tmpdir(), 'chaos-selftest-'))
  const told: Told = { see: () => undefined }
  const tests = await supervised(
    context,
    { command: 'selftest', stateDir, experiments: () => [], emit: (event) => told.see(event) },
    async (all) => {
      const done: SkillTest[] = []
      for (const target of targets) done.push(...(await testTarget(target, context, options, all, told)))
      return done
    },
  ).catch((error: unknown) => {
    if (readdirSync(join(stateDir, 'journal')).length === 0) rmSync(stateDir, { recursive: true, force: true })
    throw error
  })
  const residue = tests.some((t) => t.residue.length > 0)
  if (residue) context.err(`its state is kept in ${stateDir}: chaos recover --state-dir ${stateDir}\n`)
  else rmSync(stateDir, { recursive: true, force: true })
  if (options.json === true) context.out(json({ clean: !residue, skills: tests }))
  else context.out(tableOf(tests))
  if (residue) return ERROR_CODES.RESIDUE
  // Nothing killed is nothing proved.
  return tests.some((t) => t.killed > 0) ? 0 : ERROR_CODES.TARGET_FAILED
}

interface Told {
  see(event: ChaosEvent): void
}

async function testTarget(
  target: Target,
  context: Context,
  options: SelftestOptions,
  all: Supervised,
  told: Told,
): Promise<SkillTest[]> {
  if (options.url !== undefined) refuseUrl(target, options.url)
  const sandbox = await target.sandbox?.({
    install: all.state.install,
    ...(options.url === undefined ? {} : { url: options.url }),
  })
  if (!sandbox) return []
  context.err(`${target.name}: ${sandbox.describe}\n`)
  const tests: SkillTest[] = []
  try {
    for (const { name } of target.skills) {
      if (all.signals.signal.aborted) throw new CodedError('ABORTED', 'stopped')
      const test = new Test(experimentOf(target.name, name, sandbox), sandbox, all, told)
      tests.push(await test.all(name, options.quick === true ? QUICK_POINTS : Infinity))
    }
  } finally {
    // With something left, the sandbox is what a person has to look at.
    if (tests.every((t) => t.residue.length === 0)) await sandbox.close()
  }
  return tests
}

/** One skill on one sandbox. */
class Test {
  readonly #experiment: Experiment
  readonly #sandbox: Sandbox
  readonly #all: Supervised
  readonly #told: Told

  constructor(experiment: Experiment, sandbox: Sandbox, all: Supervised, told: Told) {
    this.#experiment = experiment
    this.#sandbox = sandbox
    this.#all = all
    this.#told = told
  }

  async all(skill: string, most: number): Promise<SkillTest> {
    const before = await this.#sandbox.picture()
    const { records, outcome, reason } = await this.#once()
    const points = spread(records, most)
    const test: SkillTest = { skill, kill_points: points.length, killed: 0, residue: await this.#left(before) }
    if (outcome !== 'completed') return { ...test, kill_points: 0, skipped: `${outcome}: ${reason}` }
    for (const point of points) {
      if (test.residue.length > 0 || this.#all.signals.signal.aborted) break
      if ((await this.#once(point)).killed) test.killed += 1
      test.residue.push(...(await this.#left(before)).map((line) => `killed at record ${point}: ${line}`))
    }
    return test
  }

  /** One run; with a point, its worker is killed there, and the supervisor recovers. */
  async #once(at?: number): Promise<{ killed: boolean; records: number; outcome: string; reason: string }> {
    const { supervisor, state } = this.#all
    const run = mintRun(systemClock.now())
    let records = 0
    this.#told.see = (event) => {
      if (event.type === 'run.finished' && event.run === run) records = event.journal?.appends ?? 0
    }
    const over = new AbortController()
    const killing = at === undefined ? Promise.resolve(false) : killAtRecord(state, run, at, over.signal)
    const report = await supervisor.run(this.#experiment, { run, wait: 'skip' }).finally(() => over.abort())
    if (supervisor.blocked.length > 0) await supervisor.recoverAll({ noProgressMs: NO_PROGRESS_MS })
    return { killed: await killing, records, outcome: report.outcome, reason: report.reason ?? '' }
  }

  async #left(before: Record<string, string>): Promise<string[]> {
    const blocked = this.#all.supervisor.blocked.map(({ run, reason }) => `run ${run} is not undone: ${reason}`)
    return [...blocked, ...pictureDiff(before, await this.#sandbox.picture())]
  }
}

/** Numbers 1 to n, or so many of them at even distances with both ends. */
function spread(n: number, most: number): number[] {
  const all = Array.from({ length: n }, (_, i) => i + 1)
  if (n <= most) return all
  return Array.from({ length: most }, (_, i) => 1 + Math.round((i * (n - 1)) / (most - 1)))
}

/** Before the sandbox makes anything: a name that says production is refused here as everywhere. */
function refuseUrl(target: Target, url: string): void {
  const config = target.url?.read(url)?.config
  if (config === undefined) {
    throw new CodedError(
      'USAGE',
      `--url is no URL of the target ${target.name}; write ${target.url?.form ?? 'another'}`,
    )
  }
  refuseProtected(experimentOf(target.name, '', { target_config: config, params: () => ({}) }), target.endpoint(config))
}

function experimentOf(target: string, skill: string, sandbox: Pick<Sandbox, 'target_config' | 'params'>): Experiment {
  return {
    name: `selftest ${skill}`,
    target,
    target_config: sandbox.target_config,
    skills: [{ skill_name: skill, params: sandbox.params(skill) ?? {}, count: 1, spread: false }],
    duration_ms: SOAK_MS,
    parallel: false,
    resource_filters: [],
    safety: {
      limits: { rows: 10_000, resources: 50, percent: 100, duration_ms: 60_000 },
      ...{ allow: [], protected: [], failsafe: 'warn' },
    },
  }
}

function tableOf(tests: readonly SkillTest[]): string {
  const rows = tests.map((t) => [
    t.skill,
    String(t.kill_points),
    String(t.killed),
    t.skipped === undefined ? String(t.residue.length) : `not tried: ${t.skipped}`,
  ])
  const lines = tests.flatMap((t) => t.residue.map((line) => `${t.skill}: ${line}\n`))
  return table([['SKILL', 'KILL POINTS', 'KILLED', 'RESIDUE'], ...rows]) + lines.join('')
}
