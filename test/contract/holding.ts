/** What a fault that is held promises: how long it lasts, that its loss is told, and that the target ends it when nobody comes back. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { within } from '../../src/core/within.ts'
import { startOther } from './other-process.ts'
import { assertUndone } from './trial.ts'
import type { Promised, Trial } from './trial.ts'

/** How long a fault may be held here: short, so that the end of it is seen. */
const HELD_MS = 2_000
/** The target ends the fault so much later at most. */
const TAKEN_BACK_MS = 10_000
/** After the end of what is held, how soon its loss is told. */
const TOLD_MS = 10_000

export const HOLDING: readonly Promised[] = [
  {
    title: 'what is held is handed over, and closing it ends the fault',
    when: ({ skill }) => skill.phase === 'held' || skill.failsafe === 'session',
    async keep({ it, rig, assertAsBefore }) {
      await rig.applyAll()
      assert.ok(
        rig.held.length > 0,
        `${it.skill.name} keeps a fault up and hands nothing to hold: nobody would see its end`,
      )
      await rig.closeHeld()
      await assertUndone(rig)
      await assertAsBefore()
    },
  },
  {
    title: 'a fault lasts for as long as it may be held; then the target itself ends it, and the loss is told',
    when: ({ skill }) => skill.failsafe !== 'none',
    async keep(trial) {
      const { it, rig, assertAsBefore } = trial
      const healthy = await it.effect()
      const begun = performance.now()
      await rig.applyAll(it.brief ?? it.params, HELD_MS)
      await takenBack(trial, healthy, HELD_MS + TAKEN_BACK_MS)
      const ms = performance.now() - begun
      assert.ok(ms >= HELD_MS, `the fault ended by itself after ${Math.round(ms)} ms, and may be held for ${HELD_MS}`)
      if (it.skill.failsafe === 'session') {
        for (const { lost } of rig.held) {
          assert.ok(lost, 'what is held does not tell when it is lost')
          const why = await within(TOLD_MS, (signal) => Promise.race([lost, aborted(signal)]))
          assert.match(why, /\S/, 'the loss has a reason')
        }
      }
      await rig.undoAll()
      await assertAsBefore()
    },
  },
  {
    title:
      'another process plans the same steps, byte for byte, and what the target promises to take back goes when that is killed',
    when: ({ elsewhere }) => elsewhere !== undefined,
    async keep(trial) {
      const { it, rig, assertAsBefore } = trial
      const params = it.brief ?? it.params
      const healthy = await it.effect()
      const other = await startOther({ skill: it.skill.name, params, config: it.elsewhere?.(), run: rig.run })
      try {
        assert.equal(other.planned, JSON.stringify((await rig.plan(params)).steps, undefined, 1))
        if (it.skill.failsafe === 'none') return
        rig.adopt(await other.apply())
        assert.notDeepEqual(await it.effect(), healthy)
        await other.kill()
        await takenBack(trial, healthy, TAKEN_BACK_MS)
        await rig.undoAll()
        await assertUndone(rig)
        await assertAsBefore()
      } finally {
        await other.kill()
      }
    },
  },
]

/** Resolves when the effect is gone, though nobody has undone anything. */
async function takenBack({ it }: Trial, healthy: unknown, withinMs: number): Promise<void> {
  const end = performance.now() + withinMs
  while (!isDeepStrictEqual(await it.effect(), healthy)) {
    assert.ok(performance.now() < end, `nothing on the target ends ${it.skill.name}: it is there after ${withinMs} ms`)
    await sleep(50)
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the loss of what is held is told to nobody')), {
      once: true,
    })
  })
}
