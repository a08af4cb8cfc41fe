/** Asks the target what it counted while a step was in effect. For the report alone: it gets little time, and cannot fail an undo. */
import { messageOf, StepError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Observed } from '../core/observed.ts'
import type { Agent, AgentInspectContext } from '../core/target.ts'
import type { StepState } from '../journal/journal.ts'

const OBSERVE_MS = 3_000

export async function observe(
  { step, skill }: StepState,
  data: object,
  agent: Agent,
  ctx: AgentInspectContext,
  emit: (event: EventBody) => void,
): Promise<Observed | undefined> {
  const end = new AbortController()
  const late = ctx.clock.sleep(OBSERVE_MS, end.signal).then(() => {
    throw new StepError('STEP_FAILED', `no answer within ${OBSERVE_MS / 1000} s`)
  })
  late.catch(() => undefined)
  try {
    const asking = (async () =>
      agent.observe(skill, data, { ...ctx, signal: AbortSignal.any([ctx.signal, end.signal]) }))()
    asking.catch(() => undefined)
    return await Promise.race([asking, late])
  } catch (error) {
    emit({ type: 'run.warning', message: `what step ${step} met is not known: ${messageOf(error)}` })
    return undefined
  } finally {
    end.abort()
  }
}
