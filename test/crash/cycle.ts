/** One crash: a run in a real worker killed at one point, the supervisor's own recovery (killed too, if wanted), and what is left. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/core/clock.ts'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Report } from '../../src/core/report.ts'
import type { Target } from '../../src/core/target.ts'
import { LocalClaims } from '../../src/supervisor/claims.ts'
import { lockState } from '../../src/supervisor/lock.ts'
import type { StateLock } from '../../src/supervisor/lock.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import { openStateDir } from '../../src/journal/state-dir.ts'
import type { StateDir } from '../../src/journal/state-dir.ts'
import { bundleWorker } from './bundle.ts'

/** What may stand in a state folder where nothing is pending. */
const AT_REST = ['ballast', 'daemon.json', 'history', 'install', 'journal', 'lock', 'secrets']

export interface Kills {
  /** Points of the run and of its recovery, as a trace names them. */
  run?: string
  recover?: string
  /** Done between the death of the run and its recovery. */
  meanwhile?: () => Promise<void>
}

export interface Crash {
  report: Report
  /** How many of the wanted kills happened. */
  hits: number
  /** Every point that the run passed, and that its recovery passed; empty where there was none. */
  passed: { run: string[]; recover: string[] }
  /** Files that should be gone, and runs that are not clean. */
  left: string[]
  /** What the supervisor told, for when something is left. */
  events: ChaosEvent[]
}

/** One state folder with its supervisor, for many crashes one after the other. */
export class Crashes {
  readonly #dir: string
  readonly #state: StateDir
  readonly #lock: StateLock
  readonly #supervisor: Supervisor
  #events: ChaosEvent[] = []

  private constructor(dir: string, state: StateDir, lock: StateLock, targets: readonly Target[]) {
    this.#dir = dir
    this.#state = state
    this.#lock = lock
    this.#supervisor = new Supervisor({
      ...{ state, claims: new LocalClaims(), lock, main: join(dir, 'worker.mjs'), targets, clock: systemClock },
      emit: (event) => void this.#events.push(event),
      experiments: () => [],
    })
  }

  /** `tree`: the source of the workers, unless this one. */
  static async open(targets: readonly Target[], tree?: string): Promise<Crashes> {
    const dir = mkdtempSync(join(tmpdir(), 'chaos-crash-'))
    await bundleWorker(join(dir, 'worker.mjs'), tree)
    const state = await openStateDir(join(dir, 'state'))
    const lock = await lockState(state.path, 'crash test', systemClock, () => undefined)
    // The worker is JavaScript: what this process needs to read TypeScript would only make them slow.
    process.execArgv.length = 0
    return new Crashes(dir, state, lock, targets)
  }

  async crash(experiment: Experiment, kills: Kills): Promise<Crash> {
    for (const name of ['hit', 'hold', 'trace.run', 'trace.recover']) rmSync(join(this.#dir, name), { force: true })
    this.#events = []
    for (const kind of ['run', 'recover'] as const) {
      const wanted = kills[kind]
      if (wanted === undefined) rmSync(join(this.#dir, `kill.${kind}`), { force: true })
      else writeFileSync(join(this.#dir, `kill.${kind}`), wanted)
    }
    // The supervisor sends a recovery after a worker that died; after a recovery that died, the next round does.
    const running = this.#supervisor.run(experiment, { seed: 'crash', wait: 'skip' })
    if (kills.meanwhile) await this.#meanwhile(running, kills.meanwhile)
    const report = await running
    await this.#supervisor.recoverAll({ noProgressMs: 30_000 })
    return {
      report,
      hits: this.#lines('hit').length,
      passed: { run: this.#lines('trace.run'), recover: this.#lines('trace.recover') },
      left: await this.#left(),
      events: this.#events,
    }
  }

  async #meanwhile(running: Promise<Report>, work: () => Promise<void>): Promise<void> {
    const hold = join(this.#dir, 'hold')
    writeFileSync(hold, '')
    try {
      const over = new AbortController()
      const end = (): void => over.abort()
      running.then(end, end)
      while (!over.signal.aborted && this.#lines('hit').length === 0) await sleep(5)
      await work()
    } finally {
      rmSync(hold)
    }
  }

  async close(): Promise<void> {
    await this.#lock.release()
    rmSync(this.#dir, { recursive: true, force: true })
  }

  async #left(): Promise<string[]> {
    const { path } = this.#state
    for (const run of await this.#state.history.list()) rmSync(join(path, 'history', `${run}.json`))
    return [
      ...readdirSync(path).filter((name) => !AT_REST.includes(name)),
      ...['journal', 'secrets'].flatMap((folder) => readdirSync(join(path, folder)).map((name) => `${folder}/${name}`)),
      ...this.#supervisor.blocked.map(({ run, reason }) => `run ${run} is blocked: ${reason}`),
    ]
  }

  #lines(name: string): string[] {
    try {
      return readFileSync(join(this.#dir, name), 'utf8').split('\n').filter(Boolean)
    } catch {
      return []
    }
  }
}
