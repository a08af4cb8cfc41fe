/** app.latency: calls begin later. */
import { z } from 'zod'
import { durationText } from '../../../faults/duration.ts'
import { faultSkill } from '../fault-skill.ts'
import { time } from '../params.ts'

export const latency = faultSkill({
  name: 'app.latency',
  summary: 'Make calls of wrapped functions slow; ends with its lease',
  own: () => ({
    duration_ms: time(1).optional(),
    after: z.boolean().optional(),
    stall_ms: time(1).optional(),
    stall_after_items: z.int().min(0).optional(),
  }),
  example: { duration_ms: 200 },
  describe({ duration_ms: ms, stall_ms: stall, stall_after_items: items, after }) {
    const delay = `delay ${after === true ? 'answers' : 'calls'} by ${durationText(ms)}`
    if (stall === undefined) return delay
    const where = items === undefined ? 'between items' : `after ${items} items`
    return `${ms === undefined ? '' : `${delay}, `}stall streams for ${durationText(stall)} ${where} in calls`
  },
})
