/** What every skill must keep, whatever it does: registers one test per promise against a real target. */
import { after, describe, test } from 'node:test'
import { PROMISES } from './promises.ts'
import type { Reached } from './rig.ts'
import { tryPromise } from './trial.ts'

export { openRig } from './rig.ts'
export type { Journaled, Rig } from './rig.ts'

/** A skill on one arranged target. */
export interface SkillCase extends Reached {
  /** What is special about this case; the title of its tests. */
  name: string
  /** The target_config as a journal would have it: with it, what a person is told to run is run. */
  config?(): unknown
  /** Brings the target into its starting state; called before every test, so it must be repeatable. */
  arrange(): Promise<void>
  /** Everything on the target that must be as before, as plain data; allowed drift left out. */
  snapshot(): Promise<unknown>
  /**
   * What the fault breaks, looked at as an application would and never through the skill: plain data that is other than before
   * for as long as the fault is in place. A session with our name is no effect.
   */
  effect(): Promise<unknown>
  /** The target_config for another process, which finds the skill in the registry of targets. One case of a skill is enough. */
  elsewhere?(): unknown
  /** Params with which the fail-safe on the target comes within 10 s of our end, where those of the case take longer. */
  brief?: unknown
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
    after(() => it.close?.())
    for (const promise of PROMISES.filter(({ when }) => when?.(it) ?? true)) {
      test(promise.title, () => tryPromise(it, promise))
    }
  })
}
