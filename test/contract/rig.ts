/** A tiny engine around one agent, for tests of skills: it journals in memory, applies in order, quiesces, and reverts last first. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../src/core/clock.ts'
import type { Clock } from '../../src/core/clock.ts'
import { StaleError } from '../../src/core/errors.ts'
import { seededRandom } from '../../src/core/random.ts'
import { markOf } from '../../src/core/skill.ts'
import type { Holdable, Inspection, Plan, Planned, SkillInfo } from '../../src/core/skill.ts'
import type { Agent, ConnectOptions } from '../../src/core/target.ts'

/** Longest step, and longest set of facts recorded at once, in bytes of JSON. */
export const STEP_BYTES = 1024 * 1024
/** How long a step may be held, for a skill that arms a fail-safe with it. */
const HELD_MS = 120_000

/** A skill, and how its target is reached. */
export interface Reached {
  skill: SkillInfo
  params: unknown
  connect(options: ConnectOptions): Promise<Agent>
}

/** A step as the journal would hold it: what was planned, with what was recorded since laid over it. */
export interface Journaled {
  id: number
  step: object
  planned: Planned<object>
}

interface ApplyOptions {
  /** What happens to the first `record`: fails before or after it is durable, never resolves, or the run aborts in it. */
  record?: 'fails' | 'fails after' | 'hangs' | 'aborts'
  /** The longest that the step can be held, milliseconds. */
  heldMs?: number
}

/** One agent, and what was planned with it. */
export interface Rig {
  agent: Agent
  install: string
  run: string
  signal: AbortSignal
  steps: Journaled[]
  /** What the applies have handed over to be held, and nobody has closed yet. */
  held: Holdable[]
  /** Resolves when an apply has come to its first `record`. */
  recording: Promise<void>
  /** Lets a hanging `record` fail. */
  letGo(): void
  plan(params?: unknown, more?: { taken?: ReadonlySet<string>; seed?: string }): Promise<Plan<object>>
  adopt(steps: Journaled[]): void
  /** With a way to die the error is swallowed; resolves with how often `record` was called. */
  apply(step: Journaled, options?: ApplyOptions): Promise<number>
  /** Plans and applies everything, and inspects each step right after its apply; stale steps are left out as the engine would. */
  applyAll(params?: unknown, heldMs?: number): Promise<Inspection[]>
  inspect(step: Journaled): Promise<Inspection>
  revert(step: Journaled): Promise<void>
  closeHeld(): Promise<void>
  revertAll(): Promise<void>
  /** Closes what is held, quiesces, reverts last first. */
  undoAll(): Promise<void>
  close(): Promise<void>
}

/** `run` and `install` are in the marks; a run of its own unless given. */
export async function openRig(
  it: Reached,
  run = `r${randomBytes(5).toString('hex')}`,
  clock: Clock = systemClock,
  install = 'contract',
): Promise<Rig> {
  const abort = new AbortController()
  const signal = abort.signal
  const agent = await it.connect({ install, run, clock, signal: AbortSignal.timeout(60_000) })
  const held: Holdable[] = []
  let came: () => void = () => undefined
  let letGo: () => void = () => undefined

  const stepContext = (step: Journaled) => ({
    ...{ version: it.skill.version, mark: markOf(install, run, step.id), clock, signal: abort.signal },
  })
  const rig: Rig = {
    agent,
    install,
    run,
    signal,
    steps: [],
    held,
    recording: new Promise((resolve) => (came = resolve)),
    letGo: () => letGo(),
    async plan(params = it.params, { taken = new Set<string>(), seed = 'contract' } = {}) {
      const { resources } = await agent.discover(signal)
      const plan = await agent.plan(it.skill.name, params, {
        resources,
        all: resources,
        taken,
        mayPick: () => 50,
        soakMs: 1_000,
        random: seededRandom(seed),
        signal,
      })
      rig.steps = plan.steps.map((planned, i) => ({ id: i + 1, step: planned.step, planned }))
      return plan
    },
    adopt: (steps) => void (rig.steps = steps),
    async apply(journaled, options = {}) {
      let asked = 0
      try {
        await agent.apply(it.skill.name, journaled.step, {
          ...stepContext(journaled),
          heldMs: options.heldMs ?? HELD_MS,
          hold: (thing) => void held.push(thing),
          async record(facts) {
            asked++
            came()
            const how = asked === 1 ? options.record : undefined
            if (how === 'fails') throw new Error('died before the record')
            for (const field of Object.keys(facts)) {
              assert.ok(!(field in journaled.step), `the field ${field} is recorded twice`)
            }
            const text = JSON.stringify(facts)
            assert.ok(Buffer.byteLength(text) <= STEP_BYTES, `recorded facts have ${Buffer.byteLength(text)} bytes`)
            journaled.step = { ...journaled.step, ...(JSON.parse(text) as object) }
            if (how === 'fails after') throw new Error('died after the record')
            if (how === 'aborts') abort.abort(new Error('aborted in the record'))
            if (how === 'hangs') await new Promise<void>((_, reject) => (letGo = () => reject(new Error('let go'))))
          },
        })
      } catch (error) {
        if (options.record === undefined) throw error
      }
      return asked
    },
    async applyAll(params = it.params, heldMs = HELD_MS) {
      await rig.plan(params)
      const applied: Journaled[] = []
      const effects: Inspection[] = []
      for (const step of rig.steps) {
        try {
          await rig.apply(step, { heldMs })
          effects.push(await rig.inspect(step))
          applied.push(step)
        } catch (error) {
          if (!(error instanceof StaleError)) throw error
        }
      }
      rig.steps = applied
      return effects
    },
    inspect: (step) =>
      agent.inspect(it.skill.name, step.step, { ...stepContext(step), signal: AbortSignal.timeout(60_000) }),
    revert: (step) =>
      agent.revert(it.skill.name, step.step, {
        ...stepContext(step),
        signal: AbortSignal.timeout(60_000),
        progress: (facts) => {
          step.step = { ...step.step, ...(JSON.parse(JSON.stringify(facts)) as object) }
          return Promise.resolve()
        },
      }),
    async closeHeld() {
      for (const thing of held.splice(0).reverse()) await thing.close()
    },
    async revertAll() {
      for (const step of [...rig.steps].reverse()) await rig.revert(step)
    },
    async undoAll() {
      await rig.closeHeld()
      await agent.quiesce(run, AbortSignal.timeout(60_000))
      await rig.revertAll()
    },
    async close() {
      letGo()
      await rig.closeHeld()
      await agent.close()
    },
  }
  return rig
}
