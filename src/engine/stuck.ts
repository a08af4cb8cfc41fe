/** What a person has to know of a run that we cannot undo: what is changed, on what, since when, why, and the commands. */
import { messageOf } from '../core/errors.ts'
import { oneLine } from '../core/foreign.ts'
import type { ByHand } from '../core/skill.ts'
import { stepOf } from '../core/target.ts'
import type { Target } from '../core/target.ts'
import { pendingSteps, placesOf } from '../journal/journal.ts'
import type { RunState, StepState } from '../journal/journal.ts'
import type { Runs } from '../journal/runs.ts'
import { definedConfig, placeAt } from './of-run.ts'
import { idAt } from './plan.ts'
import { overlap } from './rollback.ts'

export interface StuckStep {
  step: number
  skill: string
  resource: string
  describe: string
  /** When it was changed, ISO 8601. */
  since: string
  /** Why it is not undone; absent where it has not been tried. */
  error?: string
  failed_at?: string
  quarantined: boolean
  /** It will be undone by us as soon as that later step is. */
  waits_for?: number
  by_hand: ByHand
}

export interface StuckRun {
  run: string
  experiment: string
  endpoint: string
  /** What was read of the target's identity; of places with something to undo, each part behind the place's name. */
  identity: Record<string, string>
  journal: string
  /** Why none of it could be tried. */
  reason?: string
  /** In the order in which they have to be undone. */
  steps: StuckStep[]
}

/** `reason`: what kept the last attempt from everything, where that is known. Reads the journal only. */
export async function stuckRun(
  runs: Runs,
  journal: RunState,
  targets: readonly Pick<Target, 'name' | 'skills' | 'config' | 'endpoint' | 'places'>[],
  reason?: string,
): Promise<StuckRun | undefined> {
  const { started } = journal
  if (!started) return undefined
  const target = targets.find(({ name }) => name === started.target)
  const skills = target?.skills ?? []
  const config = definedConfig(started, target)
  const ids = (started.places ?? []).map(({ place }) => place)
  const configAt = (place: string): unknown =>
    place === '' ? config : (placeAt(target, config, place, ids)?.config ?? config)
  const pending = pendingSteps(journal).reverse()
  const steps: StuckStep[] = []
  for (const step of pending) {
    const { mark, quarantined } = step
    const error = quarantined?.error ?? step.revert_error
    const failedAt = quarantined?.at ?? step.revert_failed_at
    const blocker = pending.slice(0, pending.indexOf(step)).find((later) => overlap(later, step))
    const byHand = async (): Promise<ByHand> => {
      const skill = skills.find(({ name }) => name === step.skill)
      if (!skill) throw new Error(`this version has no skill ${step.skill}: run the version that wrote the journal`)
      const data = stepOf(skill, await runs.load(started.run, step), step.version)
      return skill.byHand(data, { mark, config: configAt(step.place) })
    }
    steps.push({
      ...{ step: step.step, skill: step.skill, resource: step.resource, describe: step.describe, since: step.since },
      ...(error === undefined ? {} : { error }),
      ...(failedAt === undefined ? {} : { failed_at: failedAt }),
      quarantined: quarantined !== undefined,
      ...(blocker && !quarantined ? { waits_for: blocker.step } : {}),
      by_hand: await byHand().catch((failure: unknown) => unreadable(step, failure)),
    })
  }
  const places = placesOf(started).filter(({ place }) => place === '' || pending.some((step) => step.place === place))
  const parts = places.flatMap(({ place, identity }) =>
    Object.entries(identity.parts).flatMap(([part, value]) => (value === null ? [] : [[idAt(place, part), value]])),
  )
  return {
    ...{ run: started.run, experiment: started.experiment, endpoint: started.endpoint },
    ...{ identity: Object.fromEntries(parts) as Record<string, string>, journal: runs.where(started.run) },
    ...(reason === undefined ? {} : { reason }),
    steps,
  }
}

function unreadable({ mark, skill }: StepState, error: unknown): ByHand {
  const text = `what ${skill} has left (mark ${mark}) has to be found by hand: ${messageOf(error)}`
  return { lines: [`# ${oneLine(text)}`], holdsValues: false }
}
