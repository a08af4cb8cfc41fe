/** app.latency: calls begin later. */
import { z } from 'zod'
import { faultSkill } from '../fault-skill.ts'

export const latency = faultSkill({
  name: 'app.latency',
  summary: 'Make calls of wrapped functions slow; ends with its lease',
  own: { duration_ms: z.int().min(1) },
  example: { duration_ms: 200 },
  describe: ({ duration_ms: ms }) => `delay calls by ${ms ?? 0} ms`,
})
