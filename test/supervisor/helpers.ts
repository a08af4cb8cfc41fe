/** Processes that hold a state folder's lock, for tests of it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/core/clock.ts'
import type { Clock } from '../../src/core/clock.ts'
import { lockState } from '../../src/supervisor/lock.ts'
import type { StateLock } from '../../src/supervisor/lock.ts'

const CHILD = fileURLToPath(new URL('../fakes/lock-child.ts', import.meta.url))

export interface Answer {
  won: boolean
  pid: number
  worker: number
  code?: string
  message?: string
}

export interface Child {
  process: ChildProcess
  ready: Promise<unknown>
  lock(): Promise<Answer>
}

export function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'chaos-test-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

export function startChild(t: TestContext, ...args: string[]): Child {
  const child = spawn(process.execPath, ['--import', './scripts/ts.mjs', CHILD, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const ready = lines.next()
  return {
    process: child,
    ready,
    async lock() {
      await ready
      child.stdin.write('go\n')
      return JSON.parse(String((await lines.next()).value)) as Answer
    },
  }
}

export function lock(stateDir: string, clock: Clock = systemClock): Promise<StateLock> {
  return lockState(stateDir, 'run', clock, () => undefined)
}

/** Ten times as fast as it should be: twenty seconds of patience are two. */
export const fast: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 10,
  sleep: (ms) => sleep(ms / 10),
}

export function endWith(t: TestContext, pid: number): void {
  t.after(() => {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  })
}

/** A process that has nothing to do with us. */
export function stranger(t: TestContext): number {
  const { pid = 0 } = spawn('sleep', ['60'], { stdio: 'ignore' })
  endWith(t, pid)
  return pid
}
