/** Up to when the due times of each experiment are handled, so that none runs twice, whatever happens to the process or the clock. */

/** `from` < slot ≤ `to`, milliseconds since the epoch. */
export interface Range {
  from: number
  to: number
}

export interface Handled {
  /** What the slots are those of: the six fields and the zone. */
  schedule: string
  /** Every slot up to then is handled: it ran, or it was told why not. */
  until: number
  /** Of those, the latest that passed without any run. Should the clock be set back, they come again and may run. */
  passed?: Range
  /** Slots after `until` that are handled already: the clock was set back. */
  ahead?: Range
  /** It is not scheduled any more. When it comes back, what passed meanwhile is not missed. */
  retired?: boolean
}

export interface HandledStore {
  /** By name of the experiment. */
  readonly slots: Map<string, Handled>
  /** What `slots` holds now is durable when it resolves. */
  save(): Promise<void>
}

export function memoryHandled(slots = new Map<string, Handled>()): HandledStore {
  return { slots, save: () => Promise.resolve() }
}
