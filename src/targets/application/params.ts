/** The parameters that every fault in an application has: where, when, and for how long without news of us. */
import { z } from 'zod'
import { parseDuration } from '../../core/duration.ts'
import { FaultConfigError, LONGEST_MS, readFault } from '../../faults/fault.ts'
import { ERROR_BODIES, FaultType } from '../../faults/fault-type.ts'
import type { FaultConfig } from '../../faults/fault-type.ts'

const whole = (least: number) => z.int().min(least)

/** A lease shorter than that would end whenever a machine is busy; a longer one is no fail-safe. */
const LEASE_MS = { least: 1_000, most: 5 * 60_000 }

const milliseconds = z.int().min(0).max(LONGEST_MS)
/** Milliseconds, or a range that each call draws from. */
export const time = (least = 0) =>
  z.union([z.int().min(least).max(LONGEST_MS), z.strictObject({ from: milliseconds, to: milliseconds })])

/** What an error looks like to the code that gets it. */
export const errorShape = {
  error_message: z.string().optional(),
  code: z.union([z.string().min(1), z.int()]).optional(),
}
export const errorBody = z.union([z.enum(ERROR_BODIES), z.record(z.string(), z.json())]).optional()

/** When a call is hit, as in the library. */
const when = {
  probability: z.number().min(0).max(1).optional(),
  every_nth: whole(1).optional(),
  first_n: whole(1).optional(),
  burst: z.strictObject({ calls: whole(1), every: whole(1) }).optional(),
  window_ms: z.strictObject({ from: z.number().min(0), until: z.number().min(0) }).optional(),
  after_calls: whole(0).optional(),
  after_ms: z.number().min(0).optional(),
  callback: z.boolean().optional(),
}

const where = {
  components: z.array(z.string().min(1)).min(1).optional(),
  lease: z
    .string()
    .refine((text) => isLease(parseDuration(text)), { error: 'is not a duration from 1s to 5m; write 10s' })
    .default('10s'),
}

/** What of a fault's parameters is not the library's. */
export interface Where {
  components?: string[] | undefined
  lease: string
}

/** The schema of one kind of fault: the library has the last word on what goes together. */
export function faultParams(type: FaultType, own: z.ZodRawShape): z.ZodType<Where & Record<string, unknown>> {
  return z.strictObject({ ...own, ...when, ...where }).check(({ value, issues }) => {
    const { message, field } = whyNoFault(faultOf(type, value)) ?? {}
    if (message !== undefined)
      issues.push({ code: 'custom', input: value, message, ...(field !== undefined && { path: [field] }) })
  })
}

/** The fault that the parameters describe. */
export function faultOf(fault_type: FaultType, params: Record<string, unknown>): FaultConfig {
  const fields = Object.entries(params).filter(([field]) => !Object.hasOwn(where, field))
  return { ...Object.fromEntries(fields), fault_type }
}

/** As a journal may hold it: also one of an earlier version, which took fields that are refused today. Its undo needs none of them. */
export function isFault(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'fault_type' in value && isType(value.fault_type)
}

function isType(value: unknown): boolean {
  return typeof value === 'string' && Object.hasOwn(FaultType, value)
}

function whyNoFault(config: FaultConfig): { message: string; field: string | undefined } | undefined {
  try {
    readFault(config)
    return undefined
  } catch (error) {
    if (!(error instanceof FaultConfigError)) throw error
    return { message: error.message.replace(/^fault: /, ''), field: error.field }
  }
}

function isLease(ms: number | undefined): boolean {
  return ms !== undefined && ms >= LEASE_MS.least && ms <= LEASE_MS.most
}
