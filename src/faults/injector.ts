/** Faults on demand: `inject` a configured one, or one of a kind at once. Nothing happens where injection is not enabled. */
import type { Chaos } from './chaos.ts'
import { EVERY } from './component.ts'
import { application } from './enable.ts'
import { readFault } from './fault.ts'
import type { FaultConfig } from './fault-type.ts'
import { Plan } from './plan.ts'
import { Rule } from './rule.ts'
import type { FiredFault } from './rule.ts'
import { FaultSequence } from './sequence.ts'
import type { Track } from './sequence.ts'

export interface InjectorOptions {
  /** The switch to obey; the application's unless told. */
  chaos?: Chaos
  /** The same seed gives the same sequence. */
  seed?: string | number
  sequence?: FaultSequence
  /** Told of every fault that has taken effect. */
  fired?: (fired: FiredFault) => void
}

export interface InjectOptions {
  /** The component it is said to happen in; default the first of affected_components. */
  component?: string
  /** Ends a wait; `inject` then rejects with its reason. */
  signal?: AbortSignal
}

/** Every method resolves with whether a fault fired, or rejects with the error that it raises. */
export class FaultInjector {
  readonly sequence: FaultSequence
  readonly #options: InjectorOptions
  readonly #chaos: Chaos
  readonly #chances: Track
  #asked = 0
  /** A configuration that is used again goes on counting. */
  readonly #rules = new WeakMap<FaultConfig, Map<string, Rule>>()

  constructor(options: InjectorOptions = {}) {
    this.#options = options
    this.#chaos = options.chaos ?? application
    this.sequence = options.sequence ?? new FaultSequence({ seed: options.seed })
    this.#chances = this.sequence.track('should_inject')
  }

  /** True for this fraction of the questions. */
  shouldInject(probability = 1): boolean {
    const call = ++this.#asked
    if (!this.#chaos.enabled) return false
    const { replay, draw } = this.#chances
    const yes = replay ? replay(call) : draw(call) < probability * 2 ** 32
    if (yes) this.#chances.fired(call)
    return yes
  }

  async inject(
    config: FaultConfig,
    { component = config.affected_components?.[0] ?? EVERY, signal }: InjectOptions = {},
  ) {
    const rule = this.#ruleFor(config, component)
    return this.#chaos.enabled && fireAlone(rule, signal)
  }

  injectLatency(duration_ms: number, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'latency', duration_ms }, options)
  }
  injectError(error_code = 500, error_message?: string, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'error', error_code, ...text(error_message) }, options)
  }
  injectTimeout(duration_ms = 0, error_message?: string, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'timeout', duration_ms, ...text(error_message) }, options)
  }
  injectPartialFailure(error_message?: string, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'partial_failure', ...text(error_message) }, options)
  }
  injectResourceExhaustion(error_message?: string, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'resource_exhaustion', ...text(error_message) }, options)
  }
  injectDataCorruption(error_message?: string, options?: InjectOptions): Promise<boolean> {
    return this.inject({ fault_type: 'data_corruption', ...text(error_message) }, options)
  }

  #ruleFor(config: FaultConfig, component: string): Rule {
    const known = this.#rules.get(config) ?? new Map<string, Rule>()
    this.#rules.set(config, known)
    const rule = known.get(component) ?? this.#newRule(config, component)
    known.set(component, rule)
    return rule
  }

  #newRule(config: FaultConfig, component: string): Rule {
    const { memory, waits } = this.#chaos
    const fired = (event: FiredFault) => {
      this.#options.fired?.(event)
      this.#chaos.tell(event)
    }
    const track = this.sequence.track(`${component}/inject`)
    return new Rule({ fault: readFault(config), component, track, memory, waits, fired })
  }
}

/** One rule without a call around it: what changes an answer has nothing to change, and does not fire. */
export async function fireAlone(rule: Rule, signal?: AbortSignal): Promise<boolean> {
  const decision = rule.decide()
  if (!decision || decision.action.silent === true) return false
  const plan = new Plan()
  plan.add(decision)
  try {
    await plan.before(signal)
    return !plan.alters
  } finally {
    plan.release()
  }
}

function text(error_message: string | undefined): { error_message?: string } {
  return error_message === undefined ? {} : { error_message }
}
