/** Processes of one application under a `chaos` of their own: what the end-to-end tests of applications begin with. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Report } from '../../src/core/report.ts'
import { FAULTS, isWell, ShopProcess } from '../fakes/shop.ts'
import { Chaos, signal } from './chaos.ts'
import type { Exit, Running } from './chaos.ts'

/** The lease of these tests. */
export const LEASE_MS = 3_000

export class Shops {
  readonly chaos = new Chaos()
  readonly #all: ShopProcess[] = []

  async start(name: string, options: object = {}): Promise<ShopProcess> {
    const where = 'http' in options ? {} : { socket: join(this.chaos.dir, `${name}.sock`) }
    const shop = new ShopProcess({ ...where, ...options })
    this.#all.push(shop)
    await shop.until(isWell)
    return shop
  }

  /** Breaks `pay` until it is stopped. */
  experiment(more: object = {}, fault = FAULTS[1]!): object {
    const params = { ...fault.params, components: ['pay'], lease: `${LEASE_MS}ms` }
    return {
      name: 'tools',
      target: 'application',
      target_config: { app: 'shop', socket: join(this.chaos.dir, '*.sock') },
      skills: [{ skill_name: fault.skill, params }],
      duration: '3m',
      ...more,
    }
  }

  /** A configuration with that one experiment. */
  file(more?: object, fault?: (typeof FAULTS)[number]): string {
    return this.chaos.config({ experiments: [this.experiment(more, fault)] })
  }

  /** The command and its workers. */
  signalAll({ child }: Running, name: NodeJS.Signals): void {
    for (const pid of [child.pid, ...(this.chaos.holder()?.workers ?? []).map((w) => w.pid)]) signal(pid, name)
  }

  /** No journal, no secret: nothing is pending. */
  async assertNothingLeft(): Promise<void> {
    for (const folder of ['journal', 'secrets'].map((name) => join(this.chaos.state, name)))
      if (existsSync(folder)) assert.deepEqual(readdirSync(folder), [])
    assert.doesNotMatch((await this.chaos.run(['status'])).out, /not undone/)
  }

  async end(): Promise<void> {
    for (const shop of this.#all) await shop.kill()
    this.chaos.remove()
  }
}

export function soaking(run: Running): Promise<ChaosEvent> {
  return run.until((event) => event.type === 'run.phase' && event.phase === 'soak')
}

export function reportOf({ out }: Exit): Report {
  return JSON.parse(out.trim().split('\n').at(-1) ?? '') as Report
}
