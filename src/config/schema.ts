/** The keys of a configuration file, section by section. What targets and skills accept comes from the registry. */
import { z } from 'zod'
import { address, healthToken } from './address.ts'
import { duration, experimentName, filter, kindSchema, pace, where } from './kinds.ts'
import { timezone } from './time-zones.ts'
import { periodSchema } from './periods.ts'

const wholeNumber = z.int().min(1)
const patterns = z.array(z.string().min(1))

export const limitsSchema = z.strictObject({
  rows: wholeNumber.optional(),
  resources: wholeNumber.optional(),
  percent: z.number().gt(0).max(100).optional(),
  duration: kindSchema(duration).optional(),
})

/** May stand under `settings`, in an experiment, and beside `experiment:`; the nearest one counts. */
const safetyKeys = {
  failsafe: z.enum(['warn', 'require']).optional(),
  limits: limitsSchema.optional(),
  allow: patterns.optional(),
  protected: patterns.optional(),
}

const timingKeys = {
  timezone: kindSchema(timezone).optional(),
  on_busy: z.enum(['queue', 'skip']).optional(),
  jitter: kindSchema(duration).optional(),
  on_missed: z.enum(['skip', 'run_once']).optional(),
  missed_grace: kindSchema(duration).optional(),
  windows: z.array(periodSchema).optional(),
  blackouts: z.array(periodSchema).optional(),
}

export const settingsSchema = z.strictObject({
  max_concurrent: wholeNumber.default(2),
  stop_deadline: kindSchema(duration).default(5 * 60_000),
  trust: z.enum(['warn', 'require']).default('warn'),
  history: z.strictObject({ keep_days: z.int().min(0).default(30) }).prefault({}),
  health_bind: kindSchema(address).optional(),
  health_token: kindSchema(healthToken).optional(),
  /** Read by notify.ts, entry by entry. */
  notify: z.unknown().optional(),
  digest: z.string().optional(),
  ...timingKeys,
  ...safetyKeys,
})

const experimentKeys = {
  name: kindSchema(experimentName).meta({ examples: ['name: nightly-load'] }),
  target: z.string().meta({ examples: ['target: database'] }),
  target_config: z.unknown().optional(),
  skills: z
    .array(z.unknown())
    .min(1)
    .meta({ examples: ['skills: [{skill_name: db.insert_load}]'] }),
  duration: kindSchema(duration).default(5 * 60_000),
  parallel: z.boolean().default(false),
  spread: z.boolean().default(false),
  pace: kindSchema(pace).optional(),
  where: kindSchema(where).optional(),
  resource_filters: z.array(kindSchema(filter)).default([]),
}

const scheduleKeys = {
  schedule: z.string().optional(),
  enabled: z.boolean().default(true),
  ...timingKeys,
}

/** `- {name, target, …}`: an experiment as it is; it may have a schedule of its own. */
export const flatEntrySchema = z.strictObject({ ...experimentKeys, ...safetyKeys, ...scheduleKeys })

/** `- {experiment: {…}, schedule: "…"}`: what surrounds the experiment… */
export const wrapperSchema = z.strictObject({ experiment: z.unknown(), ...safetyKeys, ...scheduleKeys })

/** …and the experiment inside. */
export const experimentSchema = z.strictObject({ ...experimentKeys, ...safetyKeys })

export const skillSchema = z.strictObject({
  skill_name: z
    .string()
    .min(1)
    .meta({ examples: ['skill_name: db.insert_load'] }),
  params: z.record(z.string(), z.unknown()).default({}),
  count: z.int().min(1).max(1000).default(1),
  spread: z.boolean().optional(),
  pace: kindSchema(pace).optional(),
  where: kindSchema(where).optional(),
})

export const fileSchema = z.strictObject({
  settings: z.unknown().optional(),
  experiments: z
    .array(z.unknown())
    .min(1)
    .meta({ examples: ['experiments: [{name: …, target: …, skills: …}]'] }),
})

/** For a key in the wrong section: where it belongs. */
export function homes(section: 'file' | 'settings' | 'wrapper' | 'experiment' | 'skill'): Record<string, string> {
  const keys = (schema: z.ZodObject, where: string) =>
    Object.fromEntries(Object.keys(schema.shape).map((key) => [key, where]))
  const experiment = section === 'wrapper' ? 'inside "experiment:"' : 'in an entry of "experiments:"'
  return {
    ...keys(settingsSchema, 'under "settings:" at the top of the file'),
    ...keys(wrapperSchema, section === 'experiment' ? 'beside "experiment:", one level up' : experiment),
    ...keys(experimentSchema, section === 'skill' ? 'beside "skills:"' : experiment),
    ...keys(skillSchema, 'in an entry of "skills:"'),
    ...keys(fileSchema, 'at the top level of the file'),
  }
}
