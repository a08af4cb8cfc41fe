/** The outcome of a run once its faults are over: a fault that no call met has tested nothing, although it was in place. */
import { listed } from '../core/counted.ts'
import { metNobody, observedText } from '../core/observed.ts'
import type { Outcome } from '../core/report.ts'
import { tookEffect } from '../core/skill.ts'
import type { StepState } from '../journal/journal.ts'

export interface RunOutcome {
  outcome: Outcome
  reason?: string
}

export function observedOutcome({ outcome, ...why }: RunOutcome, steps: readonly StepState[]): RunOutcome {
  if (outcome !== 'completed') return { outcome, ...why }
  const dead = steps.filter(({ observed }) => observed !== undefined && observed.missing > 0)
  if (dead.length > 0)
    return { outcome: 'failed', reason: `what had the fault did not live to its end: ${textOf(dead)}` }
  const effective = steps.filter(({ effect }) => effect && tookEffect(effect))
  // Where a target does not count, or could not be asked, reading back after the apply is all there is.
  if (effective.length === 0 || !effective.every(({ observed }) => observed && metNobody(observed)))
    return { outcome, ...why }
  return { outcome: 'ineffective', reason: `nobody met the fault: ${textOf(effective)}` }
}

function textOf(steps: readonly StepState[]): string {
  return listed(steps.map(({ resource, observed }) => `${resource}: ${observed ? observedText(observed) : ''}`))
}
