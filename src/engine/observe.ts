/** Asks the target what it counted while a step was in effect. For the report alone: it gets little time, and cannot fail an undo. */
import { messageOf } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Observed } from '../core/observed.ts'
import type { Agent, AgentInspectContext } from '../core/target.ts'
import type { StepState } from '../journal/journal.ts'
import { answered } from './answered.ts'

const OBSERVE_MS = 3_000

export async function observe(
  { step, skill }: StepState,
  data: object,
  agent: Agent,
  ctx: AgentInspectContext,
  emit: (event: EventBody) => void,
): Promise<Observed | undefined> {
  try {
    return await answered(OBSERVE_MS, ctx, (signal) => agent.observe(skill, data, { ...ctx, signal }))
  } catch (error) {
    emit({
      type: 'run.warning',
      code: 'not_observed',
      message: `what step ${step} met is not known: ${messageOf(error)}`,
    })
    return undefined
  }
}
