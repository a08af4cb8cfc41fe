/** The built `chaos` command as a child process. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import type { HolderNote } from '../../src/supervisor/lock.ts'
import type { ChaosEvent } from '../../src/core/events.ts'

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

export interface Exit {
  /** Exit code, or the signal's name. */
  code: number | string
  out: string
  err: string
}

export interface Running {
  child: ChildProcess
  exit: Promise<Exit>
  /** Resolves with the first NDJSON event that fits; rejects when the process ends before. */
  until(fits: (event: ChaosEvent) => boolean): Promise<ChaosEvent>
}

/** A state folder and configurations of its own, removed at the end. */
export class Chaos {
  readonly dir = mkdtempSync(join(tmpdir(), 'chaos-e2e-'))
  readonly state = join(this.dir, 'state')
  #configs = 0
  /** The command that runs it, with its arguments; empty where nothing does. */
  through: readonly string[] = []

  /** `user`: as whom, where that is not us. */
  start(args: readonly string[], env: NodeJS.ProcessEnv = {}, user: { uid?: number; gid?: number } = {}): Running {
    const [command, ...rest] = [...this.through, process.execPath, MAIN]
    const child = spawn(command, [...rest, ...args], {
      ...user,
      env: { ...process.env, CHAOS_STATE_DIR: this.state, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, err, seen] = ['', '', 0]
    const waiting: {
      fits: (event: ChaosEvent) => boolean
      resolve(event: ChaosEvent): void
      reject(error: Error): void
    }[] = []
    const events: ChaosEvent[] = []
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
      for (let end = out.indexOf('\n', seen); end >= 0; end = out.indexOf('\n', seen)) {
        const line = out.slice(seen, end)
        seen = end + 1
        if (!line.startsWith('{"')) continue
        const event = parse(line)
        if (!event) continue
        events.push(event)
        for (const w of waiting.filter((w) => w.fits(event))) {
          waiting.splice(waiting.indexOf(w), 1)
          w.resolve(event)
        }
      }
    })
    const exit = new Promise<Exit>((resolve) => {
      child.on('close', (code, signal) => {
        for (const w of waiting)
          w.reject(new Error(`chaos ended (${signal ?? code}) before the event came\n${out}\n${err}`))
        resolve({ code: signal ?? code ?? -1, out, err })
      })
    })
    return {
      child,
      exit,
      until: (fits) =>
        new Promise((resolve, reject) => {
          const past = events.find(fits)
          if (past) resolve(past)
          else waiting.push({ fits, resolve, reject })
        }),
    }
  }

  run(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Exit> {
    return this.start(args, env).exit
  }

  /** Writes a configuration file; returns its path. */
  config(content: unknown): string {
    const file = join(this.dir, `config-${++this.#configs}.yaml`)
    writeFileSync(file, typeof content === 'string' ? content : stringify(content))
    return file
  }

  /** Who holds the state folder, with its workers. */
  holder(): HolderNote | undefined {
    try {
      return JSON.parse(readFileSync(join(this.state, 'daemon.json'), 'utf8')) as HolderNote
    } catch {
      return undefined
    }
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

function parse(line: string): ChaosEvent | undefined {
  try {
    return JSON.parse(line) as ChaosEvent
  } catch {
    return undefined
  }
}

/** Sends the signal; a process that is gone already is fine. */
export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, name)
  } catch {
    // gone
  }
}
