/** latency: the call begins later, or its stream stalls. */
import type { Action, FaultKind } from '../action.ts'
import { durationOf } from '../duration.ts'

export const latency: FaultKind = {
  act(fault, { draws, waits }): Action {
    const { duration_ms: before, stall_ms: stall, stall_after_items: after } = fault
    const wait_ms = durationOf(before, draws)
    if (stall === undefined) return { wait_ms }
    const ms = () => (waits.closed ? 0 : durationOf(stall, draws))
    return {
      wait_ms,
      alter: {
        value: (answer) => answer,
        stream: { stall: { after, wait: (signal) => waits.sleep(ms(), signal), block: () => waits.block(ms()) } },
      },
    }
  },
}
