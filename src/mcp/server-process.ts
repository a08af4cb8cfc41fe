/** The MCP server as a child process: started, ended in steps that each have their time, and how it ended. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { systemClock } from '../core/clock.ts'
import { until } from '../core/until.ts'
import { atMost } from '../core/within.ts'

/** How long a server may take after its stdin has been closed, and again after SIGTERM. Together less than a client waits that ends us. */
const PATIENCE_MS = 1500
const LOOK_MS = 20

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export class ServerProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly exited: Promise<Exit>
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, stdin: Writable, stdout: Readable) {
    ;[this.#child, this.stdin, this.stdout] = [child, stdin, stdout]
    this.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })))
  }

  /** Its stderr is ours. Rejects with the system's error when there is no such command. */
  static async start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ServerProcess> {
    // A process group of its own: a launcher such as npx is ended together with what it has started.
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'inherit'], detached: true, env })
    const server = new ServerProcess(child, child.stdin, child.stdout)
    await once(child, 'spawn')
    return server
  }

  /**
   * Closes its stdin, then SIGTERM, then SIGKILL, each only when the one before was not enough; what it has started and
   * left in its process group ends with it. `hurry` leaves out the first wait.
   */
  async stop(hurry: AbortSignal): Promise<Exit> {
    this.stdin.end()
    await this.#exitedWithin(PATIENCE_MS, hurry)
    if (this.#kill('SIGTERM')) await this.#goneWithin(PATIENCE_MS)
    this.#kill('SIGKILL')
    return this.exited
  }

  async #exitedWithin(ms: number, hurry: AbortSignal): Promise<void> {
    await atMost(
      ms,
      () => this.exited,
      () => undefined,
      hurry,
    )
  }

  /** Only the exit of the server itself is told to us; the others of its group are looked for. */
  async #goneWithin(ms: number): Promise<void> {
    await until(() => !this.#kill(0), { clock: systemClock, ms, pauses: [LOOK_MS, LOOK_MS] })
  }

  /** False when nobody of the group is left. */
  #kill(signal: NodeJS.Signals | 0): boolean {
    const { pid } = this.#child
    if (pid === undefined) return false
    try {
      return process.kill(-pid, signal)
    } catch {
      return false
    }
  }
}

/** As a shell says it: its own code, or 128 and the number of the signal. */
export function exitCodeOf({ code, signal }: Exit): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

export function exitText({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code ?? 0}` : signal
}
