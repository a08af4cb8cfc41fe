/** app.error: calls fail with a code, as a service would answer. */
import { z } from 'zod'
import { faultSkill } from '../fault-skill.ts'
import { errorBody, errorShape } from '../params.ts'

export const error = faultSkill({
  name: 'app.error',
  summary: 'Make calls of wrapped functions fail with an error code; ends with its lease',
  own: () => ({
    error_code: z.int().optional(),
    ...errorShape,
    body: errorBody,
    after: z.boolean().optional(),
    reset_after_items: z.int().min(0).optional(),
    retry_after_seconds: z.number().min(0).optional(),
  }),
  example: { error_code: 503 },
  describe({ error_code: status, code, body, reset_after_items: items, after }) {
    if (items !== undefined) return `break streams off after ${items} items in calls`
    const what = status ?? (typeof body === 'string' ? body : code)
    return `answer ${what ?? 'an error'} ${after === true ? 'when the work is done ' : ''}to calls`
  },
})
