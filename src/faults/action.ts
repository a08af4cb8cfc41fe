/** What a fault that fires does to a call, as data: the call site carries it out, in its own way for each kind of function. */
import type { InjectedFaultError } from './errors.ts'
import type { Fault } from './fault.ts'
import type { HeldMemory } from './memory.ts'
import type { Draws } from './random.ts'
import type { Waits } from './waits.ts'

export interface Action {
  /** Waited before the call. */
  wait_ms?: number
  /** Raised instead of the call, after the wait. Nearly always an InjectedFaultError; anything that a fault's own `error` makes. */
  error?: unknown
  /** Raised instead of the answer: said where faults are counted. */
  lost?: unknown
  /** Changes the answer. Then the fault counts as fired when the answer is really changed. */
  alter?: Alter
  /** Called when the call has ended. */
  release?: () => unknown
  /** Nothing happens to this call, and nothing is counted. */
  silent?: true
}

export interface Alter {
  /** The wrong answer in place of the right one; the very same value where it cannot be made wrong. Never changes its argument. */
  value(answer: unknown, how?: { isSync?: boolean; signal?: AbortSignal | undefined }): unknown
  /** It is the fault `after` the call: it takes effect whatever the answer is, and may give a promise of it. */
  behind?: true
  /** Where the answer is a stream: what is done to it instead. */
  stream?: StreamAlter
}

export interface StreamAlter {
  /** Changes items until one has really changed. */
  item?: (item: unknown) => unknown
  /** The stream ends after so many items… */
  keep_items?: number
  /** …and the last of them is cut in half. */
  cut?: boolean
  /** Waited before the item that comes after so many; undefined: between all items. */
  stall?: { after: number | undefined; wait(signal?: AbortSignal): Promise<unknown>; block(): void }
  /** Raised instead of the item that comes after so many; undefined when the fault is over. */
  reset?: { after: number; error(): unknown }
  /** Awaited when the last item has come, before the end is said. */
  end?: (signal?: AbortSignal) => Promise<void>
  endSync?: () => void
}

/** What a fault may use when it acts. */
export interface ActContext {
  draws: Draws
  memory: HeldMemory
  waits: Waits
  /** The error as the fault wants it, for one that is raised later. */
  shape(error: InjectedFaultError): unknown
  /** This rule's own store, for what must be remembered from one call to the next. */
  store: Store
}

export interface Store {
  /** Calls in flight that hold a slot. */
  slots: number
  /** An earlier answer. */
  earlier?: { answer: unknown }
}

/** One kind of fault. */
export interface FaultKind {
  act(fault: Fault, context: ActContext): Action
  /** For a call in which the fault does not fire, where it must look on all the same. */
  watch?(fault: Fault, context: ActContext): Action | undefined
}
