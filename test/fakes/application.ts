/** An application that listens, in this process: one wrapped function for each way to look at it, and instances of it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Chaos, connectChaos, wrap } from '../../src/faults/index.ts'
import type { ChaosConnection } from '../../src/faults/index.ts'

export interface FakeInstance {
  chaos: Chaos
  connection: ChaosConnection
  /** What a call of each component gives: its answer, or the error's name. */
  calls(): Promise<unknown[]>
}

export class FakeApplication {
  readonly dir = mkdtempSync(join(tmpdir(), 'chaos-app-'))
  readonly config = { app: 'shop', socket: join(this.dir, '*.sock') }
  readonly instances: FakeInstance[] = []

  async start(name: string): Promise<FakeInstance> {
    const chaos = new Chaos()
    const answer = { items: ['a', 'b', 'c', 'd'], total: 4, text: 'an answer that is long enough' }
    const tools = ['search', 'pay', 'mail'].map((component) =>
      wrap(() => Promise.resolve(structuredClone(answer)), { component, chaos, async: true }),
    )
    const connection = await connectChaos({ app: 'shop', socket: join(this.dir, `${name}.sock`), chaos })
    const calls = () => Promise.all(tools.map((tool) => tool().catch((error: unknown) => (error as Error).name)))
    const instance = { chaos, connection, calls }
    this.instances.push(instance)
    return instance
  }

  /** Healthy calls, and no lease: what must be as before. */
  async snapshot(): Promise<unknown> {
    return Promise.all(this.instances.map(async ({ chaos, calls }) => ({ on: chaos.on, calls: await calls() })))
  }

  async stop(): Promise<void> {
    for (const { connection } of this.instances.splice(0)) await connection.close()
    rmSync(this.dir, { recursive: true, force: true })
  }
}
