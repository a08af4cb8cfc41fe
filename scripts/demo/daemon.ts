/** The real daemon, started as anybody would: `chaos daemon config/demo.yaml --json`; its events are read from its output. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ChaosEvent } from '../../src/core/events.ts'
import { startGuard, type Guard } from './guard.ts'

export interface DaemonOptions {
  /** What config/demo.yaml calls ${CHAOS_DEMO_URL}. */
  url: string
  onEvent(event: ChaosEvent): void
  /** A line on its stderr, or one that is no event. */
  onLine(line: string): void
  /** It ended although nobody told it to. */
  onDeath(how: string): void
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = 'dist/main.js'

export class Daemon {
  readonly #options: DaemonOptions
  readonly #stateDir: string
  readonly #guard: Guard
  #child: ChildProcess | undefined
  #ended: Promise<string> = Promise.resolve('exit code 0')
  #endExpected = false
  /** Its first event, or its end. */
  #upOrEnded: Promise<unknown> = Promise.resolve()

  private constructor(options: DaemonOptions, stateDir: string) {
    this.#options = options
    this.#stateDir = stateDir
    this.#guard = startGuard(stateDir)
  }

  /** Starts it on a state folder of its own, which lasts until `stop`. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options, await mkdtemp(join(tmpdir(), 'chaos-demo-')))
    daemon.start()
    return daemon
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    const { url, onEvent, onLine, onDeath } = this.#options
    const args = [MAIN, 'daemon', 'config/demo.yaml', '--json', '--state-dir', this.#stateDir]
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, CHAOS_DEMO_URL: url },
      // A process group of its own: Ctrl-C is for us, who then stop it; and one signal can kill its workers too.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#endExpected = false
    this.#guard.tell(this.pid)
    const up = new Promise<void>((resolve) => {
      createInterface(child.stdout).on('line', (line) => {
        const event = parse(line)
        if (event) onEvent(event)
        else onLine(line)
        resolve()
      })
    })
    createInterface(child.stderr).on('line', onLine)
    // Workers hold its stderr too: when that is closed, they are gone as well.
    this.#ended = once(child, 'close').then(([code, signal]) => {
      this.#guard.tell(0)
      const how = typeof code === 'number' ? `exit code ${code}` : String(signal)
      if (!this.#endExpected) onDeath(how)
      return how
    })
    this.#upOrEnded = Promise.race([up, this.#ended])
  }

  /** SIGKILL, to it and all its workers at once. `start` begins again on what it left. */
  async kill9(): Promise<void> {
    this.#endExpected = true
    process.kill(-this.pid, 'SIGKILL')
    await this.#ended
  }

  /**
   * SIGTERM: it undoes what is in progress and ends. Resolves with what is wrong then, which is nothing when it ended
   * with exit code 0 and nothing is left to undo.
   */
  async stop(): Promise<string[]> {
    this.#endExpected = true
    // Before, the signal would end it at once, and a recovery that it was started for would not take place.
    await this.#upOrEnded
    this.#child?.kill('SIGTERM')
    const how = await this.#ended
    const journals = await readdir(join(this.#stateDir, 'journal')).catch(() => [])
    await this.#guard.finish()
    return [
      ...(how === 'exit code 0' ? [] : [`the daemon ended with ${how}`]),
      ...journals.map((name) => `the journal ${name} is not closed: something is not undone`),
    ]
  }

  /** `chaos status` on its state folder: the lines that it prints. */
  async status(): Promise<string[]> {
    const child = spawn(process.execPath, [MAIN, 'status', '--state-dir', this.#stateDir], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines: string[] = []
    createInterface(child.stdout).on('line', (line) => lines.push(line))
    await once(child, 'close')
    return lines
  }
}

function parse(line: string): ChaosEvent | undefined {
  try {
    return JSON.parse(line) as ChaosEvent
  } catch {
    return undefined
  }
}
