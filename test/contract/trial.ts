/** One promise of the contract, tried on a case: the target is arranged anew, and every agent is closed afterwards. */
import assert from 'node:assert/strict'
import { openRig } from './rig.ts'
import type { Rig } from './rig.ts'
import type { SkillCase } from './skill.ts'

export interface Promised {
  /** A sentence that is false where the promise is broken. */
  title: string
  /** Cases that can be held to it; every case unless given. */
  when?(it: SkillCase): boolean
  /** Rejects where it is broken. */
  keep(trial: Trial): Promise<void>
}

/** A case in its starting state, with one agent of a run of its own. */
export interface Trial {
  it: SkillCase
  rig: Rig
  /** Another agent; of the same run where that is given. */
  open(run?: string): Promise<Rig>
  assertAsBefore(): Promise<void>
}

/** Rejects where the skill does not keep the promise. */
export async function tryPromise(it: SkillCase, { keep }: Promised): Promise<void> {
  await it.arrange()
  const rigs: Rig[] = []
  const open = async (run?: string): Promise<Rig> => {
    const opened = await openRig(it, run)
    rigs.push(opened)
    return opened
  }
  try {
    const rig = await open()
    const fresh = await it.snapshot()
    const assertAsBefore = async (): Promise<void> => assertSame(it, fresh, await it.snapshot())
    await keep({ it, rig, open, assertAsBefore })
  } catch (error) {
    // What a broken skill leaves behind would keep the next promise waiting.
    for (const rig of rigs) await rig.agent.quiesce(rig.run, AbortSignal.timeout(60_000)).catch(() => undefined)
    throw error
  } finally {
    for (const rig of rigs) await rig.close()
  }
}

/** Two snapshots, compared as the case compares them. */
export function assertSame({ diff }: SkillCase, before: unknown, after: unknown): void {
  if (diff) assert.deepEqual(diff(before, after), [])
  else assert.deepEqual(after, before)
}

/** Every step of the rig reads as undone. */
export async function assertUndone(rig: Rig): Promise<void> {
  for (const step of rig.steps) assert.equal((await rig.inspect(step)).inEffect, 0)
}
