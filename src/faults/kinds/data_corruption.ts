/** data_corruption: raises, or returns wrong data, in a way that `mode` names. The application's own objects are left alone. */
import type { ActContext, Action, Alter, FaultKind } from '../action.ts'
import { bitFlip } from '../damage/bit-flip.ts'
import { copyOf } from '../damage/leaves.ts'
import { swapFields } from '../damage/swap-fields.ts'
import { truncate } from '../damage/truncate.ts'
import { wrongValues } from '../damage/wrong-values.ts'
import { DataCorruptionError } from '../errors.ts'
import type { Fault } from '../fault.ts'

export const dataCorruption: FaultKind = {
  act(fault, context): Action {
    if (fault.mode === 'raise') return { error: new DataCorruptionError(fault.error_message) }
    return { alter: alterOf(fault, context) }
  },
  /** A stale answer needs an earlier one, also one of a call that was let through. */
  watch: (fault, { store }) => (fault.mode === 'stale' ? { alter: remember(store) } : undefined),
}

function alterOf(fault: Fault, { draws, store }: ActContext): Alter {
  const each = (change: (value: unknown) => unknown): Alter => ({ value: change, stream: { item: change } })
  switch (fault.mode) {
    case 'swap_fields':
      return each((value) => swapFields(value, draws))
    case 'truncate':
      return each((value) => truncate(value, draws))
    case 'bit_flip':
      return each((value) => bitFlip(value, draws))
    case 'stale':
      return stale(store)
    case 'cut_stream':
      return { value: (answer) => answer, stream: { keep_items: fault.keep_items, cut: true } }
    default:
      return each((value) => wrongValues(value, draws))
  }
}

/** The answer before this one; the first call has none and gets its own. */
function stale(store: ActContext['store']): Alter {
  return {
    value(answer) {
      const { earlier } = store
      store.earlier = { answer: copyOf(answer) }
      return earlier === undefined ? answer : earlier.answer
    },
  }
}

function remember(store: ActContext['store']): Alter {
  return {
    value(answer) {
      store.earlier = { answer: copyOf(answer) }
      return answer
    },
  }
}
