/** error: a ChaosError with a code instead of the call, or inside its stream; with retry_after_seconds it asks to come back later. */
import type { FaultKind } from '../action.ts'
import { knownAnswer } from '../answers.ts'
import { ChaosError } from '../errors.ts'
import type { Fault } from '../fault.ts'
import { RESET } from '../socket.ts'

export const error: FaultKind = {
  act(fault, { waits, shape }) {
    const { reset_after_items: after } = fault
    if (after === undefined) return { error: errorOf(fault) }
    const reset = { after, error: () => (waits.closed ? undefined : shape(brokenOff(fault))) }
    return { alter: { value: (answer) => answer, stream: { reset } } }
  },
}

function errorOf(fault: Fault): ChaosError {
  const known = knownAnswer(fault.body)
  const status = fault.error_code ?? known?.status
  const retry = fault.retry_after_seconds ?? known?.retry_after_seconds
  const message = fault.error_message ?? known?.message
  if (status === undefined && fault.code !== undefined) return new ChaosError(undefined, message, retry, fault.code)
  return new ChaosError(status ?? 500, message, retry)
}

function brokenOff({ error_code: status, error_message: message, code = RESET }: Fault): ChaosError {
  return Object.assign(new ChaosError(status, message ?? `read ${code}`, undefined, code), { code })
}
