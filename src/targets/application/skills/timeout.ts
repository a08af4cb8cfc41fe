/** app.timeout: calls hang, and then fail. */
import { z } from 'zod'
import { faultSkill } from '../fault-skill.ts'

export const timeout = faultSkill({
  name: 'app.timeout',
  summary: 'Make calls of wrapped functions hang and then fail; ends with its lease, and who hangs goes on',
  own: { duration_ms: z.int().min(0).optional(), error_message: z.string().optional() },
  example: { duration_ms: 1_000 },
  describe: ({ duration_ms: ms = 0 }) => `time out calls after ${ms} ms`,
})
