/** What an injected error looks like to somebody who only reads text: a model, or the code around it. */
import { ChaosError, ResourceExhaustedError } from '../errors.ts'
import type { InjectedFaultError } from '../errors.ts'

/** What a service answers that has run out of something. */
const SERVICE_UNAVAILABLE = 503
/** What a gateway answers that has waited long enough. */
const GATEWAY_TIMEOUT = 504
const INTERNAL_ERROR = 500

/** The HTTP status that says the same. */
export function statusOf(error: InjectedFaultError): number {
  if (error instanceof ChaosError || error instanceof ResourceExhaustedError)
    return error.error_code ?? SERVICE_UNAVAILABLE
  if ('error_code' in error && typeof error.error_code === 'number') return error.error_code
  return error.fault_type === 'timeout' ? GATEWAY_TIMEOUT : INTERNAL_ERROR
}

/** Seconds after which the caller is asked to come back. */
export function retryAfterOf(error: InjectedFaultError): number | undefined {
  if (error instanceof ChaosError || error instanceof ResourceExhaustedError) return error.retry_after_seconds
  return undefined
}

/** The answer that the fault names; undefined where it names none. */
export function answerOf(error: InjectedFaultError): Record<string, unknown> | undefined {
  return (error as { body?: Record<string, unknown> }).body
}

/** A connection that has failed has a code and no status. */
export function isNetworkError(error: InjectedFaultError): boolean {
  const { code, error_code: status } = error as { code?: unknown; error_code?: unknown }
  return typeof code === 'string' && status === undefined
}

/** `[503] Service unavailable`, `[429] rate limit reached (retry after 2 s)`, `[timeout] no answer within 500 ms`. */
export function textOf(error: InjectedFaultError): string {
  const code = error instanceof ResourceExhaustedError ? error.error_code : undefined
  const text = code === undefined ? error.message : error.message.replace(/^\[\w+\]/, `[${code}]`)
  const retry = retryAfterOf(error)
  return retry === undefined ? text : `${text} (retry after ${retry} s)`
}
