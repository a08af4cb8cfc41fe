/** The params of db.update_load, and its step. */
import { z } from 'zod'
import { valueTypeSchema } from './batch.ts'
import { keySchema } from './keys.ts'
import { columnsToday } from './old-types.ts'
import type { SizeOf } from './old-types.ts'
import { ONLY_NAMED, onlyNamed } from './triggers.ts'

export const updateParams = z
  .strictObject({
    rows: z.int().min(1).default(100),
    tables: z.array(z.string().min(1)).min(1).optional(),
    columns: z.array(z.string().min(1)).min(1).optional(),
    triggers: z.literal('allow').optional(),
  })
  .refine(onlyNamed, ONLY_NAMED)

const values = z.array(z.array(z.string().nullable()))

export const updateStep = z.object({
  id: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: z.string(),
  /** Of the table when it was planned; another one is stale. */
  shape: z.string(),
  key: keySchema,
  columns: z.array(
    z.object({ name: z.string(), attnum: z.int().optional(), type: z.string(), value: valueTypeSchema }),
  ),
  keys: z.array(z.array(z.string())),
  /** Trigger functions that somebody has let fire, as `schema.name`. */
  trigger_functions: z.array(z.string()).optional(),
  /** Values are written as they are: load, and nothing to undo. */
  pure: z.boolean(),
  seed: z.string(),
  /** Recorded before COMMIT: which of `keys` were changed, from what to what, and by which transaction. */
  changed: z.array(z.int()).optional(),
  before: values.optional(),
  ours: values.optional(),
  xid: z.string().optional(),
  /** The oids of the partitions that the rows are in. */
  parts: z.array(z.string()).optional(),
})

export type UpdateStep = z.infer<typeof updateStep>

/** A step of version 1 as one of today. */
export function updateToday(step: object, sizeOf: SizeOf): object {
  return 'columns' in step ? { ...step, columns: columnsToday(step.columns, sizeOf) } : step
}

export type UpdateParams = z.infer<typeof updateParams>
