/** The library for a browser (the condition `browser` of the package): the same, but for what must listen on a socket. */
import type { ChaosConnection } from './connect/connection.ts'
import { FaultConfigError } from './fault.ts'

export * from './library.ts'

/** Rejects: a page cannot listen for a daemon. Its faults come from `faults` in code and from experiments. */
export function connectChaos(): Promise<ChaosConnection> {
  return Promise.reject(
    new FaultConfigError('connectChaos: a browser cannot listen for a daemon; use `faults` in code or an experiment'),
  )
}
