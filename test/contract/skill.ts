/** What every skill must keep, whatever it does: registers one test per promise against a real target. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { systemClock } from '../../src/core/clock.ts'
import type { Clock } from '../../src/core/clock.ts'
import { StaleError } from '../../src/core/errors.ts'
import { seededRandom } from '../../src/core/random.ts'
import { markOf } from '../../src/core/skill.ts'
import type { Holdable, Inspection, Plan, Planned, SkillInfo } from '../../src/core/skill.ts'
import type { Agent, ConnectOptions } from '../../src/core/target.ts'
import { runByHand } from '../fakes/by-hand.ts'

/** Longest step, and longest set of facts recorded at once, in bytes of JSON. */
const STEP_BYTES = 1024 * 1024

/** A skill on one arranged target. */
export interface SkillCase {
  /** What is special about this case; the title of its tests. */
  name: string
  skill: SkillInfo
  params: unknown
  connect(options: ConnectOptions): Promise<Agent>
  /** The target_config as a journal would have it: with it, what a person is told to run is run. */
  config?(): unknown
  /** Brings the target into its starting state; called before every test, so it must be repeatable. */
  arrange(): Promise<void>
  /** Everything on the target that must be as before, as plain data; allowed drift left out. */
  snapshot(): Promise<unknown>
  /** Differences in words, empty when equal; the default compares deeply. */
  diff?(before: unknown, after: unknown): string[]
  /** Customer values that must not show in what people read. */
  secrets?: readonly string[]
  /** The steps do work that leaves nothing to undo: counted as `load`, never as `inEffect`. */
  pureLoad?: boolean
  /** Somebody else's change while the fault is in place, and what must be true of it after the undo. */
  foreign?: {
    change(steps: readonly object[]): Promise<void>
    /** Throws when the foreign change did not survive. */
    check(): Promise<void>
    /** The undo must report it as foreign; default true. */
    reported?: boolean
  }
  /**
   * The target is replaced, reset, reloaded or renamed while the fault is in place, and strangers own what has our names:
   * our keys, values' places, marks, addresses. Everything must be theirs after the undo that was theirs before it.
   */
  replaced: {
    change(steps: readonly { step: object; mark: string }[]): Promise<void>
    /** Ends what the strangers hold. */
    end?(): Promise<void>
  }
  /** Strangers that are named as ours are, on the same target: names are for finding, ownership is proved. */
  strangers: {
    /** While the fault is in place. `marks`: of the control, of each step, and of a step that there is not. */
    come(marks: readonly string[]): Promise<void>
    /** After the undo; throws when one of them is not as it came. */
    untouched(): Promise<void>
    end(): Promise<void>
  }
  /** Ends what the test file opened; called once after all tests. */
  close?(): Promise<void>
}

/** Registers the contract's tests for one case. */
export function skillContract(it: SkillCase): void {
  describe(`${it.skill.name}: ${it.name}`, () => {
    let rig: Rig
    let fresh: unknown
    const rigs: Rig[] = []
    const open = async (run?: string): Promise<Rig> => {
      const opened = await openRig(it, run)
      rigs.push(opened)
      return opened
    }
    const assertAsBefore = async (): Promise<void> => {
      const now = await it.snapshot()
      if (it.diff) assert.deepEqual(it.diff(fresh, now), [])
      else assert.deepEqual(now, fresh)
    }
    before(() => it.arrange())
    beforeEach(async () => {
      await closeAll(rigs)
      await it.arrange()
      rig = await open()
      fresh = await it.snapshot()
    })
    after(async () => {
      await closeAll(rigs)
      await it.close?.()
    })

    test('plan changes nothing and its steps are small plain JSON that reads back', async () => {
      const { steps } = await rig.plan()
      assert.ok(steps.length > 0, 'the case plans at least one step')
      for (const { step, resource, touches, describe } of steps) {
        const text = JSON.stringify(step)
        assert.ok(Buffer.byteLength(text) <= STEP_BYTES, `a step has ${Buffer.byteLength(text)} bytes`)
        assert.deepEqual(JSON.parse(text), step, 'a step survives JSON')
        assert.deepEqual(JSON.parse(JSON.stringify(it.skill.step.parse(JSON.parse(text)))), step, 'and its schema')
        assert.ok(touches.includes(resource), 'touches names the resource itself')
        assert.ok(!describe.includes('\n'), 'describe is one line')
      }
      await assertAsBefore()
    })

    test('the same seed plans the same resources', async () => {
      const again = await open()
      const resources = async (of: Rig): Promise<string[]> => (await of.plan()).steps.map((s) => s.resource)
      assert.deepEqual(await resources(rig), await resources(again))
    })

    test('what people read of a plan holds no customer values', async () => {
      const { steps, skipped = [], notes = [] } = await rig.plan()
      const read = [...steps.map((s) => s.describe), ...skipped.map((s) => s.reason), ...notes].join('\n')
      for (const secret of it.secrets ?? []) assert.ok(!read.includes(secret), `${secret} is in: ${read}`)
    })

    test('apply takes effect, revert takes it back, and the target is as before', async () => {
      for (const effect of await rig.applyAll()) assertEffect(effect, it.pureLoad)
      await rig.undoAll()
      for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
      await assertAsBefore()
    })

    test('nothing with a mark of the run is left after quiesce', async () => {
      await rig.applyAll()
      await rig.closeHeld()
      await rig.agent.quiesce(rig.run, rig.signal)
      assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
      await rig.revertAll()
      assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
      await assertAsBefore()
    })

    test('reverting twice is reverting once', async () => {
      await rig.applyAll()
      await rig.undoAll()
      await rig.revertAll()
      for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
      await assertAsBefore()
    })

    test('reverting what was never applied changes nothing', async () => {
      await rig.plan()
      for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
      await rig.undoAll()
      await assertAsBefore()
    })

    test('another process undoes it from the JSON of the steps alone', async () => {
      await rig.applyAll()
      const later = await open(rig.run)
      later.adopt(JSON.parse(JSON.stringify(rig.steps)) as Journaled[])
      await later.undoAll()
      for (const step of later.steps) assert.equal((await later.inspect(step)).inEffect, 0)
      await assertAsBefore()
    })

    test('an apply that dies before its facts are recorded leaves nothing', async () => {
      await rig.plan()
      const first = rig.steps[0]!
      const asked = await rig.apply(first, { record: 'fails' })
      if (asked === 0) await rig.closeHeld() // it records nothing: then it has simply been applied
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    })

    test('an apply that dies right after its facts are recorded leaves nothing', async () => {
      await rig.plan()
      const first = rig.steps[0]!
      await rig.apply(first, { record: 'fails after' })
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    })

    test('an apply still in flight is ended by quiesce and lands nothing after it', async () => {
      await rig.plan()
      const first = rig.steps[0]!
      const inFlight = rig.apply(first, { record: 'hangs' })
      await Promise.race([inFlight, rig.recording])
      await rig.undoAll()
      rig.letGo()
      await inFlight
      await rig.revertAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    })

    test('an aborted apply ends and is undone', async () => {
      await rig.plan()
      const first = rig.steps[0]!
      const inFlight = rig.apply(first, { record: 'aborts' })
      await inFlight
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    })

    test('the target is replaced, reset, reloaded or renamed under our feet, and strangers own what has our names', async () => {
      await rig.applyAll()
      await it.replaced.change(rig.steps.map(({ id, step }) => ({ step, mark: markOf(rig.install, rig.run, id) })))
      try {
        const theirs = await it.snapshot()
        const differences = async (): Promise<void> => {
          const now = await it.snapshot()
          if (it.diff) assert.deepEqual(it.diff(theirs, now), [])
          else assert.deepEqual(now, theirs)
        }
        await rig.undoAll()
        await differences()
        for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
        await rig.revertAll()
        await differences()
      } finally {
        await it.replaced.end?.()
      }
    })

    test('strangers who are named as ours are keep no undo from its end, and stay', async () => {
      await rig.applyAll()
      const { length } = rig.steps
      const ids = [0, ...rig.steps.slice(0, 3).map(({ id }) => id), length + 90]
      await it.strangers.come(ids.map((id) => markOf(rig.install, rig.run, id)))
      try {
        await rig.undoAll()
        for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
        await it.strangers.untouched()
      } finally {
        await it.strangers.end()
      }
      await assertAsBefore()
    })

    if (it.config) {
      test('what a person is told to run takes it back, once and twice, and stays out of what was never applied', async () => {
        const byHand = async (): Promise<string> => {
          let printed = ''
          for (const { id, step } of [...rig.steps].reverse()) {
            const context = { mark: markOf(rig.install, rig.run, id), config: it.config?.() }
            const { lines, holdsValues } = it.skill.byHand(JSON.parse(JSON.stringify(step)), context)
            const text = lines.join('\n')
            if (!holdsValues) for (const secret of it.secrets ?? []) assert.ok(!text.includes(secret), secret)
            printed += await runByHand(lines)
          }
          return printed
        }
        await rig.plan()
        await byHand()
        await assertAsBefore()
        await rig.applyAll()
        await byHand()
        for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
        await assertAsBefore()
        await byHand()
        await rig.undoAll()
        await assertAsBefore()
      })
    }

    const { foreign } = it
    if (foreign) {
      test('what somebody else changed since stays as they left it and is reported', async () => {
        await rig.applyAll()
        await foreign.change(rig.steps.map((s) => s.step))
        await rig.undoAll()
        let kept = 0
        for (const step of rig.steps) {
          const seen = await rig.inspect(step)
          assert.equal(seen.inEffect, 0)
          assert.ok((seen.names ?? []).length <= 20)
          kept += seen.foreign
        }
        if (foreign.reported ?? true) assert.ok(kept > 0, 'the undo reports what it left alone')
        await foreign.check()
      })
    }
  })
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
}

/** A tiny engine around one agent: journals in memory, applies in order, quiesces, reverts last first. */
export interface Rig {
  agent: Agent
  install: string
  run: string
  signal: AbortSignal
  steps: Journaled[]
  /** Resolves when an apply has come to its first `record`. */
  recording: Promise<void>
  /** Lets a hanging `record` fail. */
  letGo(): void
  plan(params?: unknown, more?: { taken?: ReadonlySet<string>; seed?: string }): Promise<Plan<object>>
  adopt(steps: Journaled[]): void
  /** With a way to die the error is swallowed; resolves with how often `record` was called. */
  apply(step: Journaled, options?: ApplyOptions): Promise<number>
  /** Plans and applies everything, and inspects each step right after its apply; stale steps are left out as the engine would. */
  applyAll(): Promise<Inspection[]>
  inspect(step: Journaled): Promise<Inspection>
  revert(step: Journaled): Promise<void>
  closeHeld(): Promise<void>
  revertAll(): Promise<void>
  /** Closes what is held, quiesces, reverts last first. */
  undoAll(): Promise<void>
  close(): Promise<void>
}

export async function openRig(
  it: Pick<SkillCase, 'skill' | 'params' | 'connect'>,
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

  const stepContext = (step: Journaled) => ({ mark: markOf(install, run, step.id), clock, signal: abort.signal })
  const rig: Rig = {
    agent,
    install,
    run,
    signal,
    steps: [],
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
          heldMs: 120_000,
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
    async applyAll() {
      await rig.plan()
      const applied: Journaled[] = []
      const effects: Inspection[] = []
      for (const step of rig.steps) {
        try {
          await rig.apply(step)
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

function assertEffect(seen: Inspection, pureLoad = false): void {
  if (pureLoad) {
    assert.equal(seen.inEffect, 0)
    assert.ok((seen.load ?? 0) > 0, 'the step reports the work it did')
  } else {
    assert.ok(
      seen.inEffect + (seen.load ?? 0) > 0,
      `the step takes effect: ${JSON.stringify({ ...seen, names: undefined })}`,
    )
    assert.equal(seen.foreign, 0)
  }
}

async function closeAll(rigs: Rig[]): Promise<void> {
  for (const rig of rigs.splice(0)) await rig.close()
}
