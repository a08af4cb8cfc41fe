/** A target in memory: things with values, skills that change them, and a script for what goes wrong. */
import { z } from 'zod'
import type { Experiment } from '../../src/core/experiment.ts'
import type { Observed } from '../../src/core/observed.ts'
import type { Failsafe, Holdable, Inspection, Phase, Resource, Scope, SkillSpec } from '../../src/core/skill.ts'
import { defineTarget, runSkills } from '../../src/core/target.ts'
import type { Identity } from '../../src/core/identity.ts'
import type { Agent, ConnectOptions, Leftover, Target } from '../../src/core/target.ts'

export interface FakeStep {
  key: string
  value: string
  before?: string | null
}

interface FakeParams {
  /** What it changes; where there are none it picks by itself. */
  keys?: string[]
  pick?: number
  /** Ids that every step touches besides its own. */
  touches?: string[]
  rows?: number
  apply_ms?: number
}

/** What a scripted call may look at; `step` is as read from the journal, or as planned. */
export interface Call {
  step: FakeStep
  mark: string
  signal: AbortSignal
  heldMs: number
  record(facts: object): Promise<void>
  progress(facts: object): Promise<void>
  hold(resource: Holdable): void
  /** What would happen without a script. */
  go(): Promise<void>
}

/** What an `inspect` script returns is what was read, what a `claim` script returns the claim; other results mean nothing. */
type Script = (call: Call) => Promise<unknown>

/** One place of the world: what it has stands in the world's values behind its name. */
class PlaceView {
  readonly values: Pick<Map<string, string>, 'get' | 'set' | 'delete'>
  readonly world: FakeWorld
  readonly place: string

  constructor(world: FakeWorld, place: string) {
    const inWorld = (key: string): string => (place === '' ? key : `${place}:${key}`)
    this.world = world
    this.place = place
    this.values = {
      get: (key) => world.values.get(inWorld(key)),
      set: (key, value) => world.values.set(inWorld(key), value),
      delete: (key) => world.values.delete(inWorld(key)),
    }
  }

  get names(): string[] {
    const named = this.world.values.keys()
    if (this.place === '') return [...named].filter((key) => !key.includes(':'))
    return [...named].flatMap((key) => (key.startsWith(`${this.place}:`) ? [key.slice(this.place.length + 1)] : []))
  }

  get parts(): Identity['parts'] {
    return this.place === '' ? this.world.parts : (this.world.partsAt.get(this.place) ?? { id: this.place })
  }

  call(name: string, call: Partial<Call>, go: () => Promise<void>): Promise<Inspection | undefined> {
    return this.world.call(this.place === '' ? name : `${this.place} ${name}`, call, go)
  }
}

export class FakeWorld {
  readonly values: Map<string, string>
  /** Everything that was asked of the target, in order: `apply a`, `inspect a`, `quiesce`… */
  readonly log: string[] = []
  parts: Identity['parts'] = { id: 'one' }
  /** With places: their names; their values stand behind them, `p:a`. */
  places: string[] = []
  /** Of a place that is not what its name says. */
  readonly partsAt = new Map<string, Identity['parts']>()
  endpoint = 'fake://one'
  names: string[] = ['staging']
  /** What carries a mark. */
  leftovers: Leftover[] = []
  /** What carries a mark of the run and is not ours. */
  namesakes: string[] = []
  /** What it has counted of a key, where it counts. */
  observed: ((call: { key: string; signal: AbortSignal }) => Promise<Observed>) | undefined
  readonly #scripts = new Map<string, Script>()

  constructor(values: Record<string, string> = { a: '1', b: '2', c: '3', d: '4' }) {
    this.values = new Map(Object.entries(values))
  }

  /**
   * Replaces `apply a`, `inspect b`, `revert c`, or one of `connect`, `identity`, `discover`, `claim`, `quiesce`, `close`;
   * of a place `p apply a`.
   */
  on(call: string, script: Script): this {
    this.#scripts.set(call, script)
    return this
  }

  off(call: string): this {
    this.#scripts.delete(call)
    return this
  }

  get state(): Record<string, string> {
    return Object.fromEntries([...this.values].sort())
  }

  async call(name: string, call: Partial<Call>, go: () => Promise<void>): Promise<Inspection | undefined> {
    this.log.push(name)
    const script = this.#scripts.get(name)
    if (!script) await go()
    else return (await script({ ...call, go } as Call)) as Inspection | undefined
    return undefined
  }
}

export function fakeTarget(world: FakeWorld): Target {
  const skills = [
    skill(world, 'fake.write', 'data', 'resource', 'none'),
    skill(world, 'fake.set', 'setting', 'server', 'target'),
    skill(world, 'fake.hold', 'held', 'resource', 'session'),
    { ...skill(world, 'fake.local', 'setting', 'resource', 'target'), machineLocal: true },
  ]
  return defineTarget({
    name: 'fake',
    config: z.strictObject({ url: z.string(), password: z.string(), place: z.string().optional() }),
    skills,
    endpoint: ({ url }) => ({ key: url, names: world.names }),
    redact: (config) => ({ ...config, password: '***' }),
    secrets: ({ password }) => [password],
    connect: async ({ place = '' }, options) => connect(new PlaceView(world, place), skills, options),
    places: {
      list: () => Promise.resolve(world.places),
      at: (config, id) =>
        world.places.length === 0 || world.places.includes(id)
          ? { id, endpoint: { key: `${config.url}/${id}`, names: world.names }, config: { ...config, place: id } }
          : undefined,
    },
  })
}

async function connect(view: PlaceView, skills: FakeSkill[], { signal }: ConnectOptions): Promise<Agent> {
  const { world } = view
  const quiet = (name: string, with_: Partial<Call> = {}): Promise<unknown> =>
    view.call(name, with_, () => Promise.resolve())
  await quiet('connect', { signal })
  return {
    async identity(signal) {
      await quiet('identity', { signal })
      const { id = 'unknown' } = view.parts
      return { scopes: { server: `${id}`, database: `${id}/db`, resource: `${id}/db` }, parts: view.parts }
    },
    async discover(signal) {
      await quiet('discover', { signal })
      const resources = view.names.map((id): Resource => ({ id: `db.${id}`, name: id, kind: 'thing' }))
      return { resources, summary: `${resources.length} things` }
    },
    ...runSkills<PlaceView, PlaceView>(
      skills,
      () => view,
      () => Promise.resolve(view),
    ),
    async claim(keys, signal) {
      const claim = await quiet(`claim ${keys.map((k) => k.key).join(' ')}`, { signal })
      return claim ?? {}
    },
    async quiesce(run, signal, stranger) {
      await quiet('quiesce', { signal })
      world.leftovers = world.leftovers.filter(({ mark }) => !mark.includes(`-${run}-`))
      for (const words of world.namesakes) stranger?.(words)
    },
    sweep: () => Promise.resolve(world.leftovers),
    async close() {
      await quiet('close')
    },
  }
}

type FakeSkill = SkillSpec<PlaceView, PlaceView, FakeParams, FakeStep>

function skill(world: FakeWorld, name: FakeSkill['name'], phase: Phase, scope: Scope, failsafe: Failsafe): FakeSkill {
  return {
    name,
    summary: name,
    params: z.strictObject({
      keys: z.array(z.string()).optional(),
      pick: z.number().optional(),
      touches: z.array(z.string()).optional(),
      rows: z.number().optional(),
      apply_ms: z.number().optional(),
    }) as unknown as FakeSkill['params'],
    step: z.looseObject({ key: z.string(), value: z.string() }),
    version: 1,
    scope,
    phase,
    failsafe,
    async plan(ctx, { keys, pick = 1, touches = [], rows, apply_ms }) {
      world.log.push(`plan ${name}`)
      const free = ctx.resources.filter((r) => !ctx.taken.has(r.id))
      const picked = ctx.random
        .shuffle(free)
        .slice(0, Math.min(pick, ctx.mayPick('thing')))
        .map((r) => r.name)
      return Promise.resolve({
        steps: (keys ?? picked).map((key) => ({
          resource: `db.${key}`,
          touches: [key, ...touches].map((t) => `db.${t}`),
          step: { key, value: `chaos by ${name}` },
          describe: `${name} ${key}`,
          ...(rows === undefined ? {} : { rows }),
          ...(apply_ms === undefined ? {} : { applyMs: apply_ms }),
        })),
      })
    },
    async apply(ctx, step) {
      const { target, mark, signal, heldMs } = ctx
      const record = (facts: object): Promise<void> => ctx.record(facts)
      const hold = (resource: Holdable): void => ctx.hold(resource)
      await target.call(`apply ${step.key}`, { step, mark, signal, heldMs, record, hold }, async () => {
        await ctx.record({ before: target.values.get(step.key) ?? null })
        if (phase === 'held') hold({ close: () => Promise.resolve(void world.log.push(`release ${step.key}`)) })
        target.values.set(step.key, step.value)
      })
    },
    async inspect({ target, mark, signal }, step) {
      const scripted = await target.call(`inspect ${step.key}`, { step, mark, signal }, () => Promise.resolve())
      if (scripted) return scripted
      const now = target.values.get(step.key)
      const [ours, asBefore] = [now === step.value, now === step.before || step.before === undefined]
      return {
        inEffect: ours ? 1 : 0,
        restored: !ours && asBefore ? 1 : 0,
        foreign: !ours && !asBefore ? 1 : 0,
        ...(ours || asBefore ? {} : { names: [step.key] }),
      }
    },
    ...(world.observed && {
      observe: ({ signal }, { key }) => world.observed!({ key, signal }),
    }),
    async revert(ctx, step) {
      const { target, mark, signal } = ctx
      const progress = (facts: object): Promise<void> => ctx.progress(facts)
      await target.call(`revert ${step.key}`, { step, mark, signal, progress }, () => {
        if (target.values.get(step.key) === step.value && step.before !== undefined) {
          if (step.before === null) target.values.delete(step.key)
          else target.values.set(step.key, step.before)
        }
        return Promise.resolve()
      })
    },
    byHand: ({ key, before }) => ({ lines: [`put ${key} ${before ?? ''}`.trim()], holdsValues: false }),
  }
}

export function fakeExperiment(
  skills: Partial<Experiment['skills'][number]>[],
  more: Partial<Experiment> = {},
): Experiment {
  return {
    name: 'an experiment',
    target: 'fake',
    target_config: { url: 'fake://one', password: 'canary-password' },
    skills: skills.map((entry) => ({ skill_name: 'fake.write', params: {}, count: 1, spread: false, ...entry })),
    duration_ms: 0,
    parallel: false,
    resource_filters: [],
    safety: {
      limits: { rows: 1000, resources: 50, percent: 100, duration_ms: 3_600_000 },
      allow: [],
      protected: [],
      failsafe: 'warn',
    },
    ...more,
  }
}
