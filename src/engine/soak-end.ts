/**
 * The end of the soak: what is still in effect is read once more, before the undo. It gets little time, cannot fail a run,
 * and asks about settings and what is held only: rows take long to read, and may be behind a lock that the run itself holds.
 */
import type { Clock } from '../core/clock.ts'
import { counted, listed } from '../core/counted.ts'
import { messageOf, StepError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Inspection } from '../core/skill.ts'
import type { Agent } from '../core/target.ts'
import type { Journal, StepState } from '../journal/journal.ts'
import type { Runs } from '../journal/runs.ts'
import { answered } from './answered.ts'
import type { PlannedStep } from './plan.ts'

/** All of it: the undo waits for no longer. */
const LOOK_MS = 3_000
/** Steps of one place that are asked about side by side. */
const LANES = 8

export interface SoakEndInput {
  run: string
  runs: Runs
  journal: Journal
  agentAt(place: string): Agent
  clock: Clock
  signal: AbortSignal
  emit(event: EventBody): void
}

/**
 * Never throws. What was read is journalled, for the report; what was no longer in effect is told and journalled as failed, and
 * the first of that is the result. What could not be read is a warning.
 */
export async function lookAgain(steps: readonly PlannedStep[], input: SoakEndInput): Promise<StepError | undefined> {
  const asked = new Set(steps.filter(({ phase }) => phase !== 'data').map(({ step }) => step))
  const read = new Map<number, Inspection>()
  if (asked.size === 0) return undefined
  const unread = new Map<number, string>()
  const open = new Set<StepState>()
  try {
    await answered(LOOK_MS, input, async (signal) => {
      const { steps: all } = await input.runs.read(input.run)
      for (const one of all) if (asked.has(one.step) && one.state === 'applied' && inEffect(one) > 0) open.add(one)
      const lane = async (queue: StepState[]): Promise<void> => {
        for (let one = queue.shift(); one && !signal.aborted; one = queue.shift()) {
          try {
            read.set(one.step, await inspect(one, input, signal))
          } catch (error) {
            unread.set(one.step, messageOf(error))
          }
        }
      }
      // A place that does not answer costs the others nothing.
      const queues = [...new Set([...open].map(({ place }) => place))].map((at) =>
        [...open].filter(({ place }) => place === at),
      )
      await Promise.all(queues.flatMap((queue) => Array.from({ length: LANES }, () => lane(queue))))
    })
  } catch (error) {
    // The journal itself was not read.
    if (open.size === 0) for (const step of asked) unread.set(step, messageOf(error))
    for (const { step } of open) if (!read.has(step) && !unread.has(step)) unread.set(step, messageOf(error))
  }
  // What comes later is not waited for, and says nothing.
  const seen = new Map(read)
  if (unread.size > 0 && !input.signal.aborted)
    warn(
      [...unread].map(([step, why]) => `step ${step}: ${why}`),
      input,
    )
  const errors: StepError[] = []
  for (const one of open) {
    const now = seen.get(one.step)
    if (now) await input.journal.append({ type: 'step.soaked', step: one.step, effect: now }).catch(() => undefined)
    if (!now || now.inEffect >= inEffect(one)) continue
    errors.push(await tell(one, now, input))
  }
  return errors[0]
}

async function inspect(
  one: StepState,
  { agentAt, runs, run, clock }: SoakEndInput,
  signal: AbortSignal,
): Promise<Inspection> {
  return agentAt(one.place).inspect(one.skill, await runs.load(run, one), {
    ...{ version: one.version, mark: one.mark, clock, signal },
  })
}

async function tell(one: StepState, now: Inspection, { journal, emit }: SoakEndInput): Promise<StepError> {
  const { step, skill, resource, describe } = one
  const changed = now.foreign > 0 ? `: ${now.foreign} changed by others (${(now.names ?? []).join(', ')})` : ''
  const left = now.inEffect === 0 ? 'no longer in effect' : `in effect for ${now.inEffect} of ${inEffect(one)} only`
  const error = `it was ${left} when the soak was over${changed}`
  emit({ type: 'step.failed', step: { step, skill, resource, describe }, error, code: 'STEP_FAILED' })
  await journal.append({ type: 'step.failed', step, error, code: 'STEP_FAILED' }).catch(() => undefined)
  return new StepError('STEP_FAILED', `step ${step} (${describe}) failed: ${error}`)
}

function warn(why: string[], { emit }: SoakEndInput): void {
  const what = `whether ${counted(why.length, 'step')} lasted until the soak was over could not be read`
  emit({ type: 'run.warning', code: 'soak_end', about: { count: why.length }, message: `${what}: ${listed(why, 3)}` })
}

function inEffect({ effect }: StepState): number {
  return effect?.inEffect ?? 0
}
