/** Gives an injected error the fields that retry code looks for: status, statusCode, code, details, the body of an answer. */
import { bodyOf } from './answers.ts'
import { InjectedFaultError } from './errors.ts'
import type { Fault } from './fault.ts'

/** What a client says that has waited for an answer. */
const TIMED_OUT = 'ETIMEDOUT'

/** The error that is raised: the fault's own where it makes one, else ours with its shape. */
export function shaped(error: InjectedFaultError, component: string, fault: Fault): unknown {
  error.component = component
  if (fault.error) return made(fault.error, error)
  const fields = fieldsOf(error, fault)
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && (error as unknown as Record<string, unknown>)[name] === undefined)
      Object.defineProperty(error, name, { value, writable: true, enumerable: true, configurable: true })
  return error
}

/** For those who count and log errors. */
export function asError(raised: unknown, fault: Fault): Error | undefined {
  if (raised === undefined) return undefined
  if (typeof raised === 'object' && raised !== null && 'message' in raised && 'name' in raised) return raised as Error
  return new InjectedFaultError(fault.fault_type, 'what error() made is no Error')
}

function made(make: () => unknown, instead: InjectedFaultError): unknown {
  try {
    return make() ?? instead
  } catch (error) {
    // `() => { throw new Mine() }` is meant the same.
    return error
  }
}

function fieldsOf(error: InjectedFaultError, fault: Fault): Record<string, unknown> {
  const status = (error as { error_code?: number }).error_code ?? fault.error_code
  const body = bodyOf(fault)
  const inner = isMap(body?.['error']) ? body['error'] : {}
  const code = fault.code ?? inner['code'] ?? (error.fault_type === 'timeout' ? TIMED_OUT : undefined)
  return {
    error_code: status,
    status,
    statusCode: status,
    code,
    // gRPC: the number and the text beside it.
    ...(typeof code === 'number' ? { details: error.message.replace(/^\[[^\]]*\] /, '') } : {}),
    ...(typeof code === 'string' && /^E[A-Z]+$/.test(code) ? { syscall: SYSCALLS[code] ?? 'read' } : {}),
    body,
    type: inner['type'],
    // The clients of the APIs put the answer there: Anthropic's all of it, OpenAI's what is in its `error`.
    ...(body && { error: 'type' in body ? body : inner }),
  }
}

const SYSCALLS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect',
  ETIMEDOUT: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  ENOTFOUND: 'getaddrinfo',
  EAI: 'getaddrinfo',
  EPIPE: 'write',
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
