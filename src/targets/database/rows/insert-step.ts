/** The params of db.insert_load, and its step. */
import { z } from 'zod'
import { recipeSchema } from './batch.ts'
import { areKeys, countKeys, keySchema, keysSchema } from './keys.ts'
import { columnsToday, isObject } from './old-types.ts'
import type { SizeOf } from './old-types.ts'
import { parentsSchema } from './parents.ts'
import { ONLY_NAMED, onlyNamed } from './triggers.ts'

export const insertParams = z
  .strictObject({
    rows_per_table: z.int().min(1).default(1000),
    tables: z.array(z.string().min(1)).min(1).optional(),
    batch_rows: z.int().min(1).optional(),
    triggers: z.literal('allow').optional(),
  })
  .refine(onlyNamed, ONLY_NAMED)

/** Far more than a step ever has: a journal that was changed must not keep us counting. */
const MOST_ROWS = 1_000_000

const insertFields = z.object({
  id: z.string(),
  schema: z.string(),
  table: z.string(),
  oid: z.string(),
  /** Of the table when it was planned; another one is stale. */
  shape: z.string(),
  key: keySchema,
  /** The application could come up with the same keys. */
  common: z.boolean(),
  counter: z.string().optional(),
  /** Triggers of the application fire for the rows. */
  triggers: z.literal('allow').optional(),
  /** Those that were named when somebody let them, as `schema.name`. */
  trigger_functions: z.array(z.string()).optional(),
  collisions: z.enum(['none', 'skip', 'fail']),
  seed: z.string(),
  batch: z.int(),
  first: z.int(),
  rows: z.int(),
  recipe: recipeSchema,
  parents: z.array(parentsSchema),
  /** Recorded before COMMIT: the rows that went in, and the transaction. */
  keys: keysSchema.optional(),
  xid: z.string().optional(),
  /** When the server had been started, where a crash of it could give `xid` and `keys` out a second time. */
  server_start: z.string().optional(),
  /** The file that the table's rows were in, and the server's timeline: another one has a history of its own. */
  filenode: z.string().nullable().optional(),
  timeline: z.string().nullable().optional(),
  /** The oids of the partitions that took the rows. */
  parts: z.array(z.string()).optional(),
  /** The keys are in the order in which the rows were made, none left out. */
  in_order: z.boolean().optional(),
})

export const insertStep = insertFields.check(({ value, issues }) => {
  const { key, keys = [], rows, first, batch } = value
  const say = (path: string, message: string): void =>
    void issues.push({ code: 'custom', input: value, path: [path], message })
  if (rows < 0 || rows > MOST_ROWS || first < 0 || batch < 0) say('rows', 'is not a number of rows')
  else if (!areKeys(key, keys)) say('keys', 'are not keys of this table')
  else if (countKeys(key, keys) > MOST_ROWS) say('keys', 'are more than a step has')
})

export type InsertStep = z.infer<typeof insertStep>

/** A step of version 1 as one of today. */
export function insertToday(step: object, sizeOf: SizeOf): object {
  const recipe: unknown = 'recipe' in step ? step.recipe : undefined
  if (!isObject(recipe)) return step
  return { ...step, recipe: { ...recipe, columns: columnsToday(recipe['columns'], sizeOf) } }
}

export type InsertParams = z.infer<typeof insertParams>
