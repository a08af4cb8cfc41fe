/** app.timeout: calls hang, and then fail. */
import { z } from 'zod'
import { durationText } from '../../../faults/duration.ts'
import { faultSkill } from '../fault-skill.ts'
import { errorShape, time } from '../params.ts'

export const timeout = faultSkill({
  name: 'app.timeout',
  summary: 'Make calls of wrapped functions hang and then fail; ends with its lease, and who hangs goes on',
  own: () => ({ duration_ms: time().optional(), ...errorShape, after: z.boolean().optional() }),
  example: { duration_ms: 1_000 },
  describe: ({ duration_ms: ms, after }) =>
    `time out calls after ${after === true ? 'their work and ' : ''}${durationText(ms)}`,
})
