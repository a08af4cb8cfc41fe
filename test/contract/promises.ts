/** What every skill promises: about its plan, about its undo however the run ends, and about strangers. */
import assert from 'node:assert/strict'
import { markOf } from '../../src/core/skill.ts'
import type { Inspection } from '../../src/core/skill.ts'
import { runByHand } from '../fakes/by-hand.ts'
import { HOLDING } from './holding.ts'
import { STEP_BYTES } from './rig.ts'
import type { Journaled, Rig } from './rig.ts'
import { assertSame, assertUndone } from './trial.ts'
import type { Promised } from './trial.ts'

const PLANNING: readonly Promised[] = [
  {
    title: 'plan changes nothing and its steps are small plain JSON that reads back',
    async keep({ it, rig, assertAsBefore }) {
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
    },
  },
  {
    title: 'the same seed plans the same steps, byte for byte, for another agent',
    async keep({ rig, open }) {
      const planned = async (of: Rig): Promise<string> => JSON.stringify((await of.plan()).steps, undefined, 1)
      assert.equal(await planned(await open()), await planned(rig))
    },
  },
  {
    title: 'what people read of a plan holds no customer values',
    async keep({ it, rig }) {
      const { steps, skipped = [], notes = [] } = await rig.plan()
      const read = [...steps.map((s) => s.describe), ...skipped.map((s) => s.reason), ...notes].join('\n')
      for (const secret of it.secrets ?? []) assert.ok(!read.includes(secret), `${secret} is in: ${read}`)
    },
  },
]

const UNDOING: readonly Promised[] = [
  {
    title: 'apply takes effect, which shows without the skill; revert takes it back, and the target is as before',
    async keep({ it, rig, assertAsBefore }) {
      const healthy = await it.effect()
      for (const effect of await rig.applyAll()) assertEffect(effect, it.pureLoad)
      assert.notDeepEqual(await it.effect(), healthy, 'the skill says that there is a fault, and nobody notices it')
      await rig.undoAll()
      await assertUndone(rig)
      await assertAsBefore()
    },
  },
  {
    title: 'the undo alone takes it back, with nothing closed and nothing quiesced, and twice is once',
    async keep({ rig, assertAsBefore }) {
      await rig.applyAll()
      await rig.revertAll()
      await assertUndone(rig)
      await assertAsBefore()
      await rig.revertAll()
      await assertUndone(rig)
      await assertAsBefore()
    },
  },
  {
    title: 'nothing with a mark of the run is left after quiesce',
    async keep({ rig, assertAsBefore }) {
      await rig.applyAll()
      await rig.closeHeld()
      await rig.agent.quiesce(rig.run, rig.signal)
      assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
      await rig.revertAll()
      assert.deepEqual(await rig.agent.sweep(rig.install, rig.signal), [])
      await assertAsBefore()
    },
  },
  {
    title: 'reverting what was never applied changes nothing',
    async keep({ rig, assertAsBefore }) {
      await rig.plan()
      await assertUndone(rig)
      await rig.undoAll()
      await assertAsBefore()
    },
  },
  {
    title: 'another process undoes it from the JSON of the steps alone',
    async keep({ rig, open, assertAsBefore }) {
      await rig.applyAll()
      const later = await open(rig.run)
      later.adopt(JSON.parse(JSON.stringify(rig.steps)) as Journaled[])
      await later.undoAll()
      await assertUndone(later)
      await assertAsBefore()
    },
  },
]

const DYING: readonly Promised[] = [
  {
    title: 'an apply that dies before its facts are recorded leaves nothing',
    async keep({ rig, assertAsBefore }) {
      await rig.plan()
      const first = rig.steps[0]!
      const asked = await rig.apply(first, { record: 'fails' })
      if (asked === 0) await rig.closeHeld() // it records nothing: then it has simply been applied
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    },
  },
  {
    title: 'an apply that dies right after its facts are recorded leaves nothing',
    async keep({ rig, assertAsBefore }) {
      await rig.plan()
      const first = rig.steps[0]!
      await rig.apply(first, { record: 'fails after' })
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    },
  },
  {
    title: 'an apply still in flight is ended by quiesce and lands nothing after it',
    async keep({ rig, assertAsBefore }) {
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
    },
  },
  {
    title: 'an aborted apply ends and is undone',
    async keep({ rig, assertAsBefore }) {
      await rig.plan()
      const first = rig.steps[0]!
      await rig.apply(first, { record: 'aborts' })
      await rig.undoAll()
      assert.equal((await rig.inspect(first)).inEffect, 0)
      await assertAsBefore()
    },
  },
]

const STRANGERS: readonly Promised[] = [
  {
    title: 'the target is replaced, reset, reloaded or renamed under our feet, and strangers own what has our names',
    async keep({ it, rig }) {
      await rig.applyAll()
      await it.replaced.change(rig.steps.map(({ id, step }) => ({ step, mark: markOf(rig.install, rig.run, id) })))
      try {
        const theirs = await it.snapshot()
        await rig.undoAll()
        assertSame(it, theirs, await it.snapshot())
        await assertUndone(rig)
        await rig.revertAll()
        assertSame(it, theirs, await it.snapshot())
      } finally {
        await it.replaced.end?.()
      }
    },
  },
  {
    title: 'strangers who are named as ours are keep no undo from its end, and stay',
    async keep({ it, rig, assertAsBefore }) {
      await rig.applyAll()
      const { length } = rig.steps
      const ids = [0, ...rig.steps.slice(0, 3).map(({ id }) => id), length + 90]
      await it.strangers.come(ids.map((id) => markOf(rig.install, rig.run, id)))
      try {
        await rig.undoAll()
        await assertUndone(rig)
        await it.strangers.untouched()
      } finally {
        await it.strangers.end()
      }
      await assertAsBefore()
    },
  },
  {
    title: 'what a person is told to run takes it back, once and twice, and stays out of what was never applied',
    when: ({ config }) => config !== undefined,
    async keep({ it, rig, assertAsBefore }) {
      const byHand = async (): Promise<void> => {
        for (const { id, step } of [...rig.steps].reverse()) {
          const context = { mark: markOf(rig.install, rig.run, id), config: it.config?.() }
          const { lines, holdsValues } = it.skill.byHand(JSON.parse(JSON.stringify(step)), context)
          const text = lines.join('\n')
          if (!holdsValues) for (const secret of it.secrets ?? []) assert.ok(!text.includes(secret), secret)
          await runByHand(lines)
        }
      }
      await rig.plan()
      await byHand()
      await assertAsBefore()
      await rig.applyAll()
      await byHand()
      await assertUndone(rig)
      await assertAsBefore()
      await byHand()
      await rig.undoAll()
      await assertAsBefore()
    },
  },
  {
    title: 'what somebody else changed since stays as they left it and is reported',
    when: ({ foreign }) => foreign !== undefined,
    async keep({ it: { foreign }, rig }) {
      await rig.applyAll()
      await foreign?.change(rig.steps.map((s) => s.step))
      await rig.undoAll()
      let kept = 0
      for (const step of rig.steps) {
        const seen = await rig.inspect(step)
        assert.equal(seen.inEffect, 0)
        assert.ok((seen.names ?? []).length <= 20)
        kept += seen.foreign
      }
      if (foreign?.reported ?? true) assert.ok(kept > 0, 'the undo reports what it left alone')
      await foreign?.check()
    },
  },
]

/** In the order of a run. */
export const PROMISES: readonly Promised[] = [...PLANNING, ...UNDOING, ...HOLDING, ...DYING, ...STRANGERS]

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
