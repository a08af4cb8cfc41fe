/** app.error: calls fail with a code, as a service would answer. */
import { z } from 'zod'
import { faultSkill } from '../fault-skill.ts'

export const error = faultSkill({
  name: 'app.error',
  summary: 'Make calls of wrapped functions fail with an error code; ends with its lease',
  own: {
    error_code: z.int(),
    error_message: z.string().optional(),
    retry_after_seconds: z.number().min(0).optional(),
  },
  example: { error_code: 503 },
  describe: ({ error_code: code }) => `answer ${code ?? ''} to calls`,
})
