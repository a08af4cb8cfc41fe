/** The file of an experiment inside an application (`chaos run --experiment`): checked like every other configuration. */
import { dirname } from 'node:path'
import { z } from 'zod'
import { ConfigError } from '../core/errors.ts'
import { check } from './check.ts'
import { readText } from './read.ts'
import { openSource } from './source.ts'
import type { Source } from './source.ts'

const TYPES = ['latency', 'error', 'timeout', 'partial_failure', 'resource_exhaustion', 'data_corruption'] as const
const MODES: Record<(typeof TYPES)[number], readonly string[]> = {
  latency: ['delay'],
  error: ['raise'],
  timeout: ['raise'],
  partial_failure: ['raise', 'drop'],
  resource_exhaustion: ['raise', 'rate_limit', 'hold_memory', 'hold_slots'],
  data_corruption: ['raise', 'wrong_values', 'swap_fields', 'truncate', 'stale', 'bit_flip', 'cut_stream'],
}

/** What one timer of Node can wait for. */
const LONGEST_MS = 2 ** 31 - 1
const count = z.int().min(1)
const milliseconds = z.int().min(0).max(LONGEST_MS)
/** Milliseconds, or a range that each call draws from. */
const time = z.union([milliseconds, z.strictObject({ from: milliseconds, to: milliseconds })])
const names = z.array(z.string().min(1))

/** The fields of a fault; the library itself checks the same ones where they are written in code. */
export const faultSchema = z.strictObject({
  fault_type: z.enum(TYPES).meta({ examples: ['fault_type: latency'] }),
  probability: z.number().min(0).max(1).optional(),
  duration_ms: time.optional(),
  error_code: z.int().optional(),
  error_message: z.string().optional(),
  code: z.union([z.string().min(1), z.int()]).optional(),
  body: z
    .union([
      z.enum(['overloaded_error', 'rate_limit_error', 'rate_limit_exceeded', 'insufficient_quota', 'server_error']),
      z.record(z.string(), z.json()),
    ])
    .optional(),
  after: z.boolean().optional(),
  callback: z.boolean().optional(),
  stall_ms: time.optional(),
  stall_after_items: z.int().min(0).optional(),
  reset_after_items: z.int().min(0).optional(),
  affected_components: names.optional(),
  mode: z
    .enum([
      'delay',
      'raise',
      'drop',
      'rate_limit',
      'hold_memory',
      'hold_slots',
      'wrong_values',
      'swap_fields',
      'truncate',
      'stale',
      'bit_flip',
      'cut_stream',
    ])
    .optional(),
  retry_after_seconds: z.number().min(0).optional(),
  keep: z.number().min(0).max(1).optional(),
  keep_items: z.int().min(0).optional(),
  hold_bytes: z
    .int()
    .min(1)
    .max(2 ** 30)
    .optional(),
  slots: z.int().min(0).optional(),
  every_nth: count.optional(),
  first_n: count.optional(),
  burst: z.strictObject({ calls: count, every: count }).optional(),
  window_ms: z.strictObject({ from: milliseconds, until: milliseconds }).optional(),
  after_calls: z.int().min(0).optional(),
  after_ms: milliseconds.optional(),
})

const chaosExperimentSchema = z.strictObject({
  experiment_id: z
    .string()
    .min(1)
    .max(100)
    .meta({ examples: ['experiment_id: latency-001'] }),
  name: z
    .string()
    .min(1)
    .meta({ examples: ['name: Slow tools'] }),
  description: z.string().optional(),
  duration_seconds: z.int().min(1).max(2_000_000).optional(),
  target_components: names.default([]),
  faults: z.array(faultSchema).default([]),
  seed: z.union([z.string(), z.number()]).optional(),
})

export type ChaosExperimentFile = z.output<typeof chaosExperimentSchema>

type FaultOfFile = z.output<typeof faultSchema>

/** What the library says of fields of a fault that nobody would look at; its type and mode are right already. */
export type UselessFields = (fault: FaultOfFile) => readonly { field: string; message: string }[]

/** Throws ConfigError with everything that is wrong, in the order of the file. */
export async function loadChaosExperiment(
  file: string,
  env: NodeJS.ProcessEnv,
  useless: UselessFields = () => [],
): Promise<ChaosExperimentFile> {
  const source = openSource(file, await readText(file), { env, folder: dirname(file) })
  const experiment = source.value === undefined ? undefined : readFile(source, useless)
  if (experiment === undefined || source.problems.length > 0)
    throw new ConfigError([...source.problems].sort((a, b) => a.line - b.line || a.column - b.column))
  return experiment
}

function readFile(source: Source, useless: UselessFields): ChaosExperimentFile | undefined {
  const { value } = source
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    source.problem(
      [],
      'is not an experiment: write experiment_id, name, duration_seconds, target_components and faults',
    )
    return undefined
  }
  if ('experiments' in value) {
    source.problem([], 'is a configuration of targets: run it with `chaos run FILE`, without --experiment')
    return undefined
  }
  const experiment = check(source, chaosExperimentSchema, [])
  const faults = source.get(['faults'])
  for (const index of Array.isArray(faults) ? faults.keys() : []) checkFault(source, index, useless)
  return experiment
}

/** What one field says about another; each looks only at fields that are right by themselves. */
function checkFault(source: Source, index: number, useless: UselessFields): void {
  const at = (field: string) => ['faults', index, field]
  const fault = faultSchema
    .partial()
    .loose()
    .safeParse(source.get(['faults', index]))
  const type = fault.data?.fault_type
  if (!fault.success || type === undefined) return
  const { mode, burst, window_ms: window } = fault.data
  const lack = whatIsMissing(type, fault.data)
  if (lack) source.problem(at(lack.field), lack.message)
  for (const field of ['duration_ms', 'stall_ms'] as const) {
    const range = fault.data[field]
    if (typeof range === 'object' && range.from > range.to)
      source.problem(at(field), 'ends before it begins: write e.g. {from: 100, to: 900}')
  }
  if (mode !== undefined && !MODES[type].includes(mode))
    source.problem(at('mode'), `${type} has no mode "${mode}": write one of ${MODES[type].join(', ')}`)
  else {
    // A field that no fault has was said by the schema.
    const known = Object.entries(fault.data).filter(([field]) => Object.hasOwn(faultSchema.shape, field))
    const said = useless({ ...Object.fromEntries(known), fault_type: type })
    for (const { field, message } of said) source.problem(at(field), message)
  }
  if (burst && burst.calls > burst.every)
    source.problem(at('burst'), 'more calls than there are in all: write e.g. {calls: 2, every: 10}')
  if (window && window.until <= window.from)
    source.problem(at('window_ms'), 'ends before it begins: write e.g. {from: 1000, until: 5000}')
}

function whatIsMissing(
  type: FaultOfFile['fault_type'],
  fault: { readonly [F in keyof FaultOfFile]?: FaultOfFile[F] | undefined },
): { field: string; message: string } | undefined {
  const said = (...fields: (keyof FaultOfFile)[]): boolean => fields.some((field) => fault[field] !== undefined)
  if (type === 'latency') {
    if (!said('duration_ms', 'stall_ms', 'stall_after_items'))
      return { field: 'duration_ms', message: 'is missing: add duration_ms: 200' }
    if (said('stall_after_items') && !said('stall_ms'))
      return { field: 'stall_ms', message: 'is missing: add stall_ms: 2000' }
  }
  if (type === 'error' && !said('error_code', 'code', 'reset_after_items') && typeof fault.body !== 'string')
    return { field: 'error_code', message: 'is missing: add error_code: 503' }
  for (const field of ['stall_ms', 'reset_after_items'] as const)
    if (fault.after === true && said(field))
      return { field: 'after', message: `means nothing with ${field}: a stream is broken inside, not behind it` }
  return undefined
}
