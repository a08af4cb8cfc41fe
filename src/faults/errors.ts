/** What an injected fault raises: one class for each kind, and a base to tell them from real errors. */
import type { FaultType } from './fault-type.ts'
import { knownToAllCopies } from './shared.ts'

/** Raised by a fault, never by the application. */
export class InjectedFaultError extends Error {
  override readonly name: string = 'InjectedFaultError'
  readonly fault_type: FaultType
  /** The component whose call it was raised in. */
  component: string | undefined

  constructor(type: FaultType, message: string) {
    super(message)
    this.fault_type = type
  }
}

/** How a service says "too many": clients of APIs look for these fields. */
export interface Refusal {
  error_code: number
  retry_after_seconds?: number | undefined
}

/** An answer with an error code, as a service gives it; the message begins with the code. */
export class ChaosError extends InjectedFaultError {
  override readonly name = 'ChaosError'
  /** Undefined for an error that has only a `code`, as a connection that breaks. */
  readonly error_code: number | undefined
  readonly retry_after_seconds: number | undefined

  /** `label`: what the message begins with instead of the code. */
  constructor(
    error_code: number | undefined,
    message = 'injected error',
    retry_after_seconds?: number,
    label: string | number = error_code ?? 'error',
  ) {
    super('error', `[${label}] ${message}`)
    this.error_code = error_code
    this.retry_after_seconds = retry_after_seconds
  }
  /** The same as `error_code`, under the names that API clients and servers' error handlers use. */
  get status(): number | undefined {
    return this.error_code
  }
  get statusCode(): number | undefined {
    return this.error_code
  }
  get headers(): Record<string, string> {
    return headersOf(this.retry_after_seconds)
  }
}

export class ChaosTimeoutError extends InjectedFaultError {
  override readonly name = 'ChaosTimeoutError'
  constructor(message = 'no answer') {
    super('timeout', `[timeout] ${message}`)
  }
}

export class PartialFailureError extends InjectedFaultError {
  override readonly name = 'PartialFailureError'
  constructor(message = 'a part of the call failed') {
    super('partial_failure', `[partial_failure] ${message}`)
  }
}

/** Nothing left to work with; as a rate limit it also carries error_code 429 and when to come back. */
export class ResourceExhaustedError extends InjectedFaultError {
  override readonly name = 'ResourceExhaustedError'
  readonly error_code: number | undefined
  readonly retry_after_seconds: number | undefined

  constructor(message = 'no resources left', refusal?: Refusal) {
    super('resource_exhaustion', `[resource_exhaustion] ${message}`)
    this.error_code = refusal?.error_code
    this.retry_after_seconds = refusal?.retry_after_seconds
  }
  get status(): number | undefined {
    return this.error_code
  }
  get statusCode(): number | undefined {
    return this.error_code
  }
  get headers(): Record<string, string> {
    return headersOf(this.retry_after_seconds)
  }
}

export class DataCorruptionError extends InjectedFaultError {
  override readonly name = 'DataCorruptionError'
  constructor(message = 'the data is corrupt') {
    super('data_corruption', `[data_corruption] ${message}`)
  }
}

/** Asked to inject where nothing may be injected. */
export class ChaosDisabledError extends Error {
  override readonly name = 'ChaosDisabledError'
}

for (const [name, Class] of Object.entries({
  InjectedFaultError,
  ChaosError,
  ChaosTimeoutError,
  PartialFailureError,
  ResourceExhaustedError,
  DataCorruptionError,
  ChaosDisabledError,
}))
  knownToAllCopies(Class, name)

function headersOf(retryAfter: number | undefined): Record<string, string> {
  return retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
}
