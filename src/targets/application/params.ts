/** The parameters that every fault in an application has: where, when, and for how long without news of us. */
import { z } from 'zod'
import { parseDuration } from '../../core/duration.ts'
import { FaultConfigError, readFault } from '../../faults/fault.ts'
import type { FaultConfig, FaultType } from '../../faults/fault-type.ts'

const whole = (least: number) => z.int().min(least)

/** A lease shorter than that would end whenever a machine is busy; a longer one is no fail-safe. */
const LEASE_MS = { least: 1_000, most: 5 * 60_000 }

/** When a call is hit, as in the library. */
const when = {
  probability: z.number().min(0).max(1).optional(),
  every_nth: whole(1).optional(),
  first_n: whole(1).optional(),
  burst: z.strictObject({ calls: whole(1), every: whole(1) }).optional(),
  window_ms: z.strictObject({ from: z.number().min(0), until: z.number().min(0) }).optional(),
  after_calls: whole(0).optional(),
  after_ms: z.number().min(0).optional(),
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
    const message = whyNoFault(faultOf(type, value))
    if (message !== undefined) issues.push({ code: 'custom', input: value, message })
  })
}

/** The fault that the parameters describe. */
export function faultOf(fault_type: FaultType, params: Record<string, unknown>): FaultConfig {
  const fields = Object.entries(params).filter(([field]) => !Object.hasOwn(where, field))
  return { ...Object.fromEntries(fields), fault_type }
}

export function isFault(value: unknown): boolean {
  return typeof value === 'object' && value !== null && whyNoFault(value as FaultConfig) === undefined
}

function whyNoFault(config: FaultConfig): string | undefined {
  try {
    readFault(config)
    return undefined
  } catch (error) {
    if (error instanceof FaultConfigError) return error.message.replace(/^fault: /, '')
    throw error
  }
}

function isLease(ms: number | undefined): boolean {
  return ms !== undefined && ms >= LEASE_MS.least && ms <= LEASE_MS.most
}
