/** What is to be done to one call: the decisions of all its rules, in their order. */
import type { Chaos } from './chaos.ts'
import type { Component } from './component.ts'
import type { Decision, Rule } from './rule.ts'
import { warnOfUnknown } from './unmet.ts'

/** One place in the program where calls are made. */
export interface Site {
  readonly chaos: Chaos
  readonly component: Component
  /** Of the wrapper itself; they act only where injection is enabled. */
  readonly own: readonly Rule[] | undefined
  /** Other components that its faults name; undefined when they have been looked for, with the first call. */
  others: readonly string[] | undefined
}

export class Plan {
  /** Whom to tell of what does nothing. */
  readonly chaos: Chaos | undefined
  readonly #decisions: Decision[] = []
  /** A rule has raised: the rules after it do not see the call. */
  raises = false
  /** There is a wait before the call, or before the error. */
  waits = false
  /** A rule says that the call answers by a callback. */
  callback = false
  /** The answer will be looked at. */
  alters = false
  /** The answer will be another one, where that can be. */
  changes = false
  /** Somebody must know when the call has ended. */
  releases = false

  constructor(chaos?: Chaos) {
    this.chaos = chaos
  }

  add(decision: Decision): void {
    const { wait_ms: ms = 0, error, alter, release } = decision.action
    this.#decisions.push(decision)
    this.waits ||= ms > 0
    this.raises ||= error !== undefined
    this.alters ||= alter !== undefined
    this.callback ||= decision.rule.fault.callback
    this.changes ||= alter !== undefined && decision.counts
    this.releases ||= release !== undefined
  }

  /** What the caller gets is what the function returns: nothing is late, raised or changed. */
  get isPassive(): boolean {
    return !this.waits && !this.raises && !this.changes
  }

  /** Waits and errors, for a caller that can wait. A wait whose fault is taken away ends, and its error does not come. */
  async before(signal?: AbortSignal): Promise<void> {
    for (const { action, rule } of this.#decisions) {
      const ms = action.wait_ms ?? 0
      const over = !rule.waits.closed && (ms === 0 || (await rule.waits.sleep(ms, signal)))
      if (over && action.error !== undefined) throw action.error // eslint-disable-line @typescript-eslint/only-throw-error -- the fault's own
    }
  }

  /** The same for a caller that cannot. */
  beforeSync(): void {
    for (const { action, rule } of this.#decisions) {
      const over = !rule.waits.closed && rule.waits.block(action.wait_ms ?? 0)
      if (over && action.error !== undefined) throw action.error // eslint-disable-line @typescript-eslint/only-throw-error -- the fault's own
    }
  }

  /** Decisions that change the answer. */
  get alterations(): readonly Decision[] {
    return this.#decisions.filter(({ action }) => action.alter !== undefined)
  }

  /** The call has ended. */
  release(): void {
    for (const { action } of this.#decisions) action.release?.()
  }
}

/** Undefined when the call is to be left alone, which is nearly always. */
export function planFor(site: Site, args?: readonly unknown[]): Plan | undefined {
  const { chaos, component, own } = site
  if (site.others !== undefined) lookForOthers(site)
  let plan: Plan | undefined
  if (own !== undefined && chaos.enabled) plan = planOf(own, plan, chaos, args)
  if (component.rules !== undefined) plan = planOf(component.rules, plan, chaos, args)
  return plan
}

/** With the first call: what is wrapped together is there by then. */
export function lookForOthers(site: Site): void {
  const { others = [] } = site
  site.others = undefined
  warnOfUnknown(site.chaos, others)
}

/** Makes a plan only when there is something to put into it. */
function planOf(
  rules: readonly Rule[],
  plan: Plan | undefined,
  chaos: Chaos,
  args?: readonly unknown[],
): Plan | undefined {
  // By index: an iterator costs more than asking the rule.
  for (let i = 0; i < rules.length && plan?.raises !== true; i++) {
    const decision = rules[i]?.decide(args)
    if (decision) (plan ??= new Plan(chaos)).add(decision)
  }
  return plan
}
