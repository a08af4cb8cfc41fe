/** A real process of the application of shop-app.ts, as a test sees it: how its calls go, and how to end or stop it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const SHOP = fileURLToPath(new URL('shop-app.ts', import.meta.url))
/** Longest that anything may take here: far more than it does. */
const PATIENCE_MS = 60_000

/** One round of calls: `well`, `slow`, `wrong`, or the name of the error. */
export type Health = Record<'search' | 'pay' | 'mail' | 'address', string>

export class ShopProcess {
  readonly child: ChildProcess
  last: Health | undefined
  readonly #changed: (() => void)[] = []

  /** `options`: those of shop-app.ts. */
  constructor(options: object) {
    this.child = spawn(
      process.execPath,
      ['--import', './scripts/ts.mjs', SHOP, JSON.stringify({ app: 'shop', ...options })],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.last = JSON.parse(line) as Health
      for (const tell of this.#changed.splice(0)) tell()
    })
  }

  /** Resolves with how long it took until a round of calls fits. */
  async until(fits: (health: Health) => boolean): Promise<number> {
    const begun = performance.now()
    while (!(this.last && fits(this.last))) {
      assert.ok(performance.now() - begun < PATIENCE_MS, `still ${JSON.stringify(this.last)}`)
      await Promise.race([
        new Promise<void>((resolve) => this.#changed.push(resolve)),
        sleep(1_000, undefined, { ref: false }),
      ])
    }
    return Math.round(performance.now() - begun)
  }

  /** A round that ends from now on. */
  async next(fits: (health: Health) => boolean = () => true): Promise<Health> {
    this.last = undefined
    await this.until(fits)
    return this.last!
  }

  /** Three rounds in a row without a fault. */
  async healthy(): Promise<number> {
    const begun = performance.now()
    for (let rounds = 0; rounds < 3;) {
      rounds = isWell(await this.next()) ? rounds + 1 : 0
      assert.ok(performance.now() - begun < PATIENCE_MS, `still ${JSON.stringify(this.last)}`)
    }
    return Math.round(performance.now() - begun)
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await gone
  }
}

export function isWell(health: Health | undefined): boolean {
  return health !== undefined && [health.search, health.pay, health.mail].every((how) => how === 'well')
}

/** What breaks `pay` with each skill, and how a call of it looks then. */
export const FAULTS: readonly { skill: string; params: object; shows: string }[] = [
  { skill: 'app.latency', params: { duration_ms: 200 }, shows: 'slow' },
  { skill: 'app.error', params: { error_code: 503 }, shows: 'ChaosError' },
  { skill: 'app.timeout', params: { duration_ms: 50 }, shows: 'ChaosTimeoutError' },
  { skill: 'app.partial_failure', params: { mode: 'drop' }, shows: 'wrong' },
  { skill: 'app.resource_exhaustion', params: { mode: 'rate_limit' }, shows: 'ResourceExhaustedError' },
  { skill: 'app.data_corruption', params: { mode: 'wrong_values' }, shows: 'wrong' },
]
