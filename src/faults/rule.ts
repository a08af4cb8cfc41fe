/** One fault at one place: decides which calls it fires in, and what it does to them. */
import type { Action, Store } from './action.ts'
import { behindTheCall } from './behind.ts'
import { InjectedFaultError } from './errors.ts'
import type { Fault } from './fault.ts'
import { FAULT_KINDS } from './kinds/index.ts'
import type { HeldMemory } from './memory.ts'
import type { Track } from './sequence.ts'
import { asError, shaped } from './shape.ts'
import type { Waits } from './waits.ts'

/** A fault that really did something to a call. */
export interface FiredFault {
  component: string
  fault: Fault
  /** Number of the call among those that the rule saw, from 1. */
  call: number
  /** What the caller gets instead of an answer. */
  error: Error | undefined
}

export interface RuleOptions {
  fault: Fault
  component: string
  track: Track
  memory: HeldMemory
  waits: Waits
  fired?: ((fired: FiredFault) => void) | undefined
}

export class Rule {
  readonly fault: Fault
  readonly component: string
  readonly waits: Waits
  readonly #options: RuleOptions
  readonly #store: Store = { slots: 0 }
  /** A draw below it fires: 2³² is always. */
  readonly #threshold: number
  readonly #always: boolean
  readonly #timed: boolean
  readonly #watches: boolean
  #warned = false
  /** Calls seen. */
  #calls = 0
  #began: number | undefined

  constructor(options: RuleOptions) {
    const { fault } = options
    this.#options = options
    this.fault = fault
    this.component = options.component
    this.waits = options.waits
    this.#threshold = fault.probability * 2 ** 32
    this.#timed = fault.after_ms > 0 || fault.window_ms !== undefined
    this.#always =
      !this.#timed &&
      fault.every_nth === 1 &&
      fault.first_n === Infinity &&
      fault.burst === undefined &&
      fault.after_calls === 0 &&
      options.track.replay === undefined
    this.#watches = FAULT_KINDS[fault.fault_type].watch !== undefined
  }

  /** Begins the time that warm-up and window are counted from, which else begins with the first call. */
  begin(): this {
    this.#began ??= performance.now()
    return this
  }

  /** Counts one call. Undefined when nothing is to be done to it. */
  decide(args: readonly unknown[] = []): Decision | undefined {
    if (this.fault.when !== undefined && !this.#isMeant(this.fault.when, args)) return undefined
    const call = ++this.#calls
    if (this.#fires(call)) {
      this.#options.track.fired(call)
      const { fault } = this
      const action = this.#finished(FAULT_KINDS[fault.fault_type].act(fault, this.#context(call)))
      return new Decision(this, call, action, action.silent !== true)
    }
    if (!this.#watches) return undefined
    const action = FAULT_KINDS[this.fault.fault_type].watch?.(this.fault, this.#context(call))
    return action && new Decision(this, call, action, false)
  }

  /** To be called when the fault takes effect. */
  fired(call: number, error: unknown): void {
    this.#options.fired?.({ component: this.component, fault: this.fault, call, error: asError(error, this.fault) })
  }

  #fires(call: number): boolean {
    const { track } = this.#options
    if (this.#always) return this.#threshold > 0 && track.draw(call) < this.#threshold
    if (track.replay !== undefined) return track.replay(call)
    const { fault } = this
    const n = call - fault.after_calls
    return (
      n >= 1 &&
      n <= fault.first_n &&
      n % fault.every_nth === 0 &&
      (fault.burst === undefined || (n - 1) % fault.burst.every < fault.burst.calls) &&
      (!this.#timed || this.#isTime()) &&
      track.draw(call) < this.#threshold
    )
  }

  /** The error has the fault's shape, and stands behind the call where the fault says so. */
  #finished(action: Action): Action {
    const { fault, component, waits } = this
    const { error } = action
    const whole = error instanceof InjectedFaultError ? { ...action, error: shaped(error, component, fault) } : action
    return fault.after ? behindTheCall(whole, waits) : whole
  }

  /** Calls that are not meant are not counted either. A predicate that throws means none. */
  #isMeant(when: NonNullable<Fault['when']>, args: readonly unknown[]): boolean {
    try {
      return when(args)
    } catch (error) {
      if (!this.#warned)
        console.warn(`chaos-agents: \`when\` of a fault on ${this.component} throws, and so means no call:`, error)
      this.#warned = true
      return false
    }
  }

  #isTime(): boolean {
    const { after_ms: after, window_ms: window } = this.fault
    const now = performance.now()
    const elapsed = now - (this.#began ??= now)
    return elapsed >= after && (window === undefined || (elapsed >= window.from && elapsed < window.until))
  }

  #context(call: number) {
    const { track, memory, waits } = this.#options
    const shape = (error: InjectedFaultError) => shaped(error, this.component, this.fault)
    return { draws: track.draws(call), memory, waits, shape, store: this.#store }
  }
}

/** What one rule has decided about one call. */
export class Decision {
  readonly rule: Rule
  readonly action: Action
  readonly #call: number
  #counts: boolean

  constructor(rule: Rule, call: number, action: Action, counts: boolean) {
    this.rule = rule
    this.action = action
    this.#call = call
    this.#counts = counts
    if (action.alter === undefined || (action.wait_ms ?? 0) > 0) this.fired()
  }

  /** The fault fires in this call, and has not been counted yet. */
  get counts(): boolean {
    return this.#counts
  }

  /** The fault has taken effect; counted once. */
  fired(): void {
    if (!this.#counts) return
    this.#counts = false
    this.rule.fired(this.#call, this.action.error ?? this.action.lost)
  }
}
