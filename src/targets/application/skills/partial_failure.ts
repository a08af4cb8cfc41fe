/** app.partial_failure: calls fail, or answer with a part of what they should. */
import { z } from 'zod'
import { FAULT_MODES } from '../../../faults/fault-type.ts'
import { faultSkill, modeOf } from '../fault-skill.ts'
import { errorShape } from '../params.ts'

export const partialFailure = faultSkill({
  name: 'app.partial_failure',
  summary: 'Make calls of wrapped functions fail or answer with half of their data; ends with its lease',
  own: () => ({
    mode: z.enum(FAULT_MODES.partial_failure).optional(),
    ...errorShape,
    keep: z.number().min(0).max(1).optional(),
    keep_items: z.int().min(0).optional(),
  }),
  example: { mode: 'drop' },
  describe: (fault) => `partial failure${modeOf(fault)} in calls`,
})
