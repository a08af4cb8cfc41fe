/** Counts the faults of one experiment and writes each down as an observation. */
import type { ExperimentSummary } from './experiment.ts'
import type { ExperimentObserver } from './observer.ts'
import type { FiredFault } from './rule.ts'

export class Tally {
  readonly #observer: ExperimentObserver
  readonly #counts = {
    type: new Map<string, number>(),
    component: new Map<string, number>(),
    error: new Map<string, number>(),
  }
  #total = 0
  #ticks = 0

  constructor(observer: ExperimentObserver) {
    this.#observer = observer
  }

  /** `tick` for a fault of the tick loop, `call` for one in a call of the application. */
  add({ component, fault, call, error }: FiredFault, source: 'tick' | 'call'): void {
    const { type, component: components, error: errors } = this.#counts
    this.#total++
    if (source === 'tick') this.#ticks++
    up(type, fault.fault_type)
    up(components, component)
    if (error) up(errors, error.name)
    this.#observer.observe(component, `${fault.fault_type}_${error ? 'exception' : 'injected'}`, {
      source,
      call,
      mode: fault.mode,
      ...(fault.duration_ms === undefined ? {} : { duration_ms: fault.duration_ms }),
      ...(error && { error_type: error.name, message: error.message }),
    })
  }

  summary(duration_seconds: number): ExperimentSummary {
    return {
      total_faults_fired: this.#total,
      faults_by_type: Object.fromEntries(this.#counts.type),
      faults_by_component: Object.fromEntries(this.#counts.component),
      errors_by_type: Object.fromEntries(this.#counts.error),
      fired_by_ticks: this.#ticks,
      duration_seconds,
      observations_dropped: this.#observer.dropped,
    }
  }
}

function up(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}
