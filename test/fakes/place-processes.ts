/** A target whose places are processes: each holds one value, and fails by itself. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { RollbackError, TargetError } from '../../src/core/errors.ts'
import { defineTarget, runSkills } from '../../src/core/target.ts'
import type { SkillSpec } from '../../src/core/skill.ts'
import type { ConnectOptions, Target } from '../../src/core/target.ts'
import { within } from '../../src/core/within.ts'
import { until } from './clock.ts'

const SCRIPT = fileURLToPath(new URL('place-process.mjs', import.meta.url))
/** Longer than the slowest place takes. */
const ANSWER_MS = 25_000

export interface PlaceState {
  id: string
  value: string
}

export class PlaceProcesses {
  readonly folder = mkdtempSync(join(tmpdir(), 'chaos-places-'))
  readonly names: string[]
  readonly #processes = new Map<string, ChildProcess>()

  constructor(count: number) {
    this.names = Array.from({ length: count }, (_, i) => `p${String(i + 1).padStart(2, '0')}`)
  }

  socket(name: string): string {
    return join(this.folder, `${name}.sock`)
  }

  /** With another id it is another system at the same address, which has nothing of the old one. */
  async start(name: string, id = name): Promise<void> {
    rmSync(this.socket(name), { force: true })
    const child = fork(SCRIPT, [this.socket(name), join(this.folder, `${id}.json`), id], { execArgv: [] })
    this.#processes.set(name, child)
    await until(() => existsSync(this.socket(name)), `${name} does not listen`)
  }

  /** A few at a time: each takes a processor for a moment. */
  async startAll(): Promise<void> {
    const queue = [...this.names]
    const lane = async (): Promise<void> => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) await this.start(name)
    }
    await Promise.all(Array.from({ length: 4 }, lane))
  }

  async kill(name: string): Promise<void> {
    const child = this.#processes.get(name)
    if (!child) return
    const over = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await over
    this.#processes.delete(name)
  }

  async how(name: string, how: { slow_ms: number; refuses: boolean }): Promise<void> {
    await ask(this.socket(name), 'POST', '/how', how)
  }

  /** What is on its disk. */
  valueOf(id: string): string {
    const file = join(this.folder, `${id}.json`)
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PlaceState).value : 'as it was'
  }

  async end(): Promise<void> {
    for (const name of [...this.#processes.keys()]) await this.kill(name)
    rmSync(this.folder, { recursive: true, force: true })
  }

  get target(): Target {
    return targetOf(this.names)
  }
}

const config = z.strictObject({ folder: z.string(), place: z.string().optional() })
const params = z.strictObject({})
const step = z.strictObject({ value: z.string(), before: z.string().optional() })

interface Client {
  get(signal: AbortSignal): Promise<string>
  set(value: string, signal: AbortSignal): Promise<void>
}

type Skill = SkillSpec<Client, Client, z.infer<typeof params>, z.infer<typeof step>>

const write: Skill = {
  ...{ name: 'places.write', summary: 'sets the value', params, step, version: 1 },
  ...{ scope: 'resource', phase: 'data', failsafe: 'none' },
  plan: () =>
    Promise.resolve({
      steps: [{ resource: 'value', touches: ['value'], step: { value: 'ours' }, describe: 'set the value' }],
    }),
  async apply({ target, signal, record }, { value }) {
    await record({ before: await target.get(signal) })
    await target.set(value, signal)
  },
  async inspect({ target, signal }, { value, before }) {
    const now = await target.get(signal)
    const [inEffect, restored] = [now === value ? 1 : 0, before === undefined || now === before ? 1 : 0]
    return { inEffect, restored: inEffect ? 0 : restored, foreign: inEffect || restored ? 0 : 1 }
  },
  async revert({ target, signal }, { value, before }) {
    if (before !== undefined && (await target.get(signal)) === value) await target.set(before, signal)
  },
  byHand: () => ({ lines: ['# set it back'], holdsValues: false }),
}

function targetOf(names: readonly string[]): Target {
  return defineTarget<z.infer<typeof config>>({
    ...{ name: 'places', config, skills: [write] },
    endpoint: ({ folder }) => ({ key: `places://${folder}`, names: [folder] }),
    redact: (given) => given,
    secrets: () => [],
    places: {
      list: () => Promise.resolve([...names]),
      at: (given, id) =>
        names.includes(id)
          ? { id, endpoint: { key: `places://${id}`, names: [id] }, config: { ...given, place: id } }
          : undefined,
    },
    connect: ({ folder, place = '' }, { signal }) => connect(join(folder, `${place}.sock`), signal),
  })
}

/** Knows the system behind its address again, as every agent does that connects anew with each call. */
async function connect(socket: string, first: ConnectOptions['signal']) {
  const { id } = await ask(socket, 'GET', '/', undefined, first)
  const same = (state: PlaceState): PlaceState => {
    if (state.id !== id) throw new TargetError('IDENTITY_MISMATCH', `${socket} is ${state.id} now, and not ${id}`)
    return state
  }
  const client: Client = {
    get: async (signal) => same(await ask(socket, 'GET', '/', undefined, signal)).value,
    async set(value, signal) {
      same(await ask(socket, 'GET', '/', undefined, signal))
      await ask(socket, 'POST', '/', { value }, signal)
    },
  }
  return {
    identity: () => Promise.resolve({ scopes: { server: id, database: id, resource: id }, parts: { machine_id: id } }),
    discover: () => Promise.resolve({ resources: [{ id: 'value', name: 'value', kind: 'value' }], summary: id }),
    ...runSkills<Client, Client>(
      [write],
      () => client,
      () => Promise.resolve(client),
    ),
    claim: () => Promise.resolve({}),
    async quiesce(_run: string, signal: AbortSignal) {
      await client.get(signal)
    },
    sweep: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  }
}

async function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
  ...signals: AbortSignal[]
): Promise<PlaceState> {
  const work = (signal: AbortSignal): Promise<PlaceState> =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath, method, path, agent: false, signal }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const answer = JSON.parse(Buffer.concat(chunks).toString('utf8')) as PlaceState & { error?: string }
          if (answer.error === undefined) resolve(answer)
          else reject(new RollbackError('RESIDUE', answer.error))
        })
      })
      sent.on('error', (error) => reject(new TargetError('TARGET_UNREACHABLE', `${path}: ${error.message}`)))
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return within(ANSWER_MS, work, ...signals)
}
