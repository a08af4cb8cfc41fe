/** A connection that breaks off inside a stream, as Node's sockets say it; fetch says it in its own way around that. */
import { InjectedFaultError } from './errors.ts'

export const RESET = 'ECONNRESET'

/** What undici's fetch gives whoever reads a body then. */
export function terminated(error: unknown): unknown {
  return error instanceof InjectedFaultError ? new TypeError('terminated', { cause: error }) : error
}
