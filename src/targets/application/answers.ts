/** What an application may answer, with its lengths and counts: nothing of it is used, or written into a journal, before it is checked. */
import { z } from 'zod'
import { bounded } from '../../core/foreign.ts'
import { LONGEST_MARK, PROTOCOL } from '../../faults/connect/protocol.ts'

/** Characters of a name: of an application, an instance, a component. */
const LONGEST_NAME = 500
/** Components, leases, or marks in one answer. */
const MOST_LISTED = 10_000

const name = z.string().min(1).max(LONGEST_NAME)
const mark = z.string().min(1).max(LONGEST_MARK)
const count = z.int().min(0)
const names = z.array(name).max(MOST_LISTED)

export const hello = z.object({
  protocol: z.literal(PROTOCOL),
  app: name,
  instance: name,
  pid: z.int().min(1),
  process: z
    .object({ machine: name, start: name })
    .nullish()
    .transform((process) => process ?? null),
  components: z.array(z.object({ name, calls: count, is_sync: z.boolean().optional() })).max(MOST_LISTED),
  open_ended: z.boolean().optional(),
  owners: z.boolean().optional(),
})
export type CheckedHello = z.infer<typeof hello>

/** Of a lease only what is read here: how often it fired in each component is not. */
const lease = z.object({
  mark,
  owner: z.string().max(200).optional(),
  components: names,
  fault_types: names,
  in_force: z.boolean(),
  age_ms: z.number().min(0).optional(),
  calls: count.optional(),
  fired: count,
})
export type CheckedLease = z.infer<typeof lease>

export const leases = z.object({ leases: z.array(lease).max(MOST_LISTED) })

/** Of a lease that was granted or renewed. */
export const marked = z.object({ mark })

export const ended = z.object({ ended: z.array(mark).max(MOST_LISTED) })

/** A code of a later version is a refusal as well; its text is cut to what people read. */
export const refusal = z.object({
  error: z.string().min(1).max(50),
  message: z
    .string()
    .optional()
    .transform((message) => (message === undefined ? undefined : bounded(message))),
})
