/** app.data_corruption: calls fail as corrupt, or answer with wrong data. The application's own objects are left alone. */
import { z } from 'zod'
import { FAULT_MODES } from '../../../faults/fault-type.ts'
import { faultSkill, modeOf } from '../fault-skill.ts'
import { errorShape } from '../params.ts'

export const dataCorruption = faultSkill({
  name: 'app.data_corruption',
  summary: 'Make calls of wrapped functions answer with wrong data; ends with its lease',
  own: () => ({
    mode: z.enum(FAULT_MODES.data_corruption).optional(),
    ...errorShape,
    keep_items: z.int().min(0).optional(),
  }),
  example: { mode: 'wrong_values' },
  describe: (fault) => `corrupt data${modeOf(fault)} in calls`,
})
