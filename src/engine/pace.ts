/**
 * Pace: when each planned step may go. It is decided from the plan alone, before anything is applied: pacing releases planned
 * steps within the soak, and never invents one.
 */
import { counted } from '../core/counted.ts'
import { formatDuration } from '../core/duration.ts'
import { RefusedError } from '../core/errors.ts'
import type { Experiment, SkillEntry } from '../core/experiment.ts'
import { paceText } from '../core/pace.ts'
import type { Pace } from '../core/pace.ts'
import type { Phase } from '../core/skill.ts'

/** Steps of one sequence share their pace: the second of them goes one distance after the first. */
export interface Paced {
  pace: Pace
  sequence: string
}

interface PacedStep extends Paced {
  place: string
  phase: Phase
  resource: string
}

/** The pace of an entry: its own is for its steps alone; that of the experiment, and `spread`, are for all that have it together. */
export function paceOf(entry: SkillEntry, index: number, experiment: Pick<Experiment, 'pace'>): Paced {
  if (entry.pace !== undefined) return { pace: entry.pace, sequence: `entry ${index}` }
  if (entry.spread) return { pace: 'spread', sequence: 'spread' }
  return { pace: experiment.pace ?? 'at_once', sequence: 'experiment' }
}

/**
 * Of each step that goes in the soak, how many milliseconds after its beginning. On each place they go in the order data,
 * settings, held things, whatever their paces.
 */
export function releases<S extends PacedStep>(steps: readonly S[], soakMs: number): ReadonlyMap<S, number> {
  const sequences = new Map<string, S[]>()
  for (const step of steps) {
    if (step.pace === 'at_once') continue
    const others = sequences.get(step.sequence)
    if (others) others.push(step)
    else sequences.set(step.sequence, [step])
  }
  const after = new Map<S, number>()
  for (const all of sequences.values())
    for (const [i, step] of all.entries()) after.set(step, i * distance(step.pace, all.length, soakMs))
  /** By place: the phase that it is at, when its last step goes, and when the last one of the phases before it does. */
  const at = new Map<string, { phase: string; last: number; before: number }>()
  for (const step of steps) {
    const own = after.get(step)
    if (own === undefined) continue
    let here = at.get(step.place) ?? { phase: step.phase, last: 0, before: 0 }
    if (here.phase !== step.phase) here = { phase: step.phase, last: here.last, before: here.last }
    const ms = Math.max(own, here.before)
    after.set(step, ms)
    at.set(step.place, { ...here, last: Math.max(here.last, ms) })
  }
  return after
}

function distance(pace: Pace, steps: number, soakMs: number): number {
  if (pace === 'at_once') return 0
  if (pace === 'spread') return soakMs / steps
  return 'ramp_ms' in pace ? pace.ramp_ms / steps : pace.every_ms
}

/** Throws RefusedError for steps whose pace is slower than the soak is long: those would never have been in effect. */
export function refuseTooSlow(steps: readonly PacedStep[], soakMs: number): void {
  for (const [step, ms] of releases(steps, soakMs)) {
    if (ms === 0 || ms < soakMs) continue
    const all = steps.filter(({ sequence }) => sequence === step.sequence).length
    throw new RefusedError(
      'REFUSED_UNSUITABLE',
      `${counted(all, 'step')} at pace ${paceText(step.pace)} take longer than the duration, ${formatDuration(soakMs)}: ` +
        `the one on ${step.resource} would go after ${formatDuration(ms)}; write a faster pace, a longer duration, or fewer steps`,
    )
  }
}
