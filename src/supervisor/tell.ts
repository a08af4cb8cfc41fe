/** How the parts of a supervisor tell what happens: the time is added where it is sent to the sinks. */
import type { DaemonEvent } from '../core/events.ts'

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

export type Tell = (event: DistributiveOmit<DaemonEvent, 'at'>) => void
