/** app.resource_exhaustion: calls are refused or rate limited, memory is held, or few calls may run at once. */
import { z } from 'zod'
import { FAULT_MODES } from '../../../faults/fault-type.ts'
import { MOST_HELD_BYTES } from '../../../faults/fault.ts'
import { faultSkill, modeOf } from '../fault-skill.ts'
import { errorBody, errorShape, time } from '../params.ts'

export const resourceExhaustion = faultSkill({
  name: 'app.resource_exhaustion',
  summary: 'Refuse or rate limit calls of wrapped functions, hold memory, take slots; ends with its lease',
  own: () => ({
    mode: z.enum(FAULT_MODES.resource_exhaustion).optional(),
    error_code: z.int().optional(),
    ...errorShape,
    body: errorBody,
    retry_after_seconds: z.number().min(0).optional(),
    duration_ms: time(1).optional(),
    hold_bytes: z.int().min(1).max(MOST_HELD_BYTES).optional(),
    slots: z.int().min(0).optional(),
  }),
  example: { mode: 'rate_limit' },
  describe: (fault) => `exhaust resources${modeOf(fault)} in calls`,
})
