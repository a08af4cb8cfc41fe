/** partial_failure: raises, or lets a part of the answer through: some of a list, of a map's fields, of a text, of a stream. */
import type { FaultKind } from '../action.ts'
import { PartialFailureError } from '../errors.ts'
import { dropPart } from '../damage/drop-part.ts'

export const partialFailure: FaultKind = {
  act(fault, { draws }) {
    if (fault.mode === 'raise') return { error: new PartialFailureError(fault.error_message) }
    return {
      alter: { value: (answer) => dropPart(answer, fault.keep, draws), stream: { keep_items: fault.keep_items } },
    }
  },
}
