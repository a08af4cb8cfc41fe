/** One execution of an experiment: its faults are in the slots of its components while it lasts, and the tick loop injects them too. */
import type { Chaos } from './chaos.ts'
import type { CompleteExperiment, ExperimentResult, ExperimentStatus } from './experiment.ts'
import type { Fault } from './fault.ts'
import { fireAlone } from './injector.ts'
import { ExperimentObserver } from './observer.ts'
import { componentsOf } from './placement.ts'
import type { Placement } from './placement.ts'
import type { Rule } from './rule.ts'
import { FaultSequence } from './sequence.ts'
import type { SavedSequence } from './sequence.ts'
import { Tally } from './tally.ts'

export interface RunSettings {
  chaos: Chaos
  tick_ms: number
  replay: SavedSequence | undefined
}

export class ExperimentRun {
  readonly experiment: CompleteExperiment
  readonly #faults: readonly Fault[]
  readonly #settings: RunSettings
  readonly #observer = new ExperimentObserver()
  readonly #tally = new Tally(this.#observer)
  readonly #sequence: FaultSequence
  #status: ExperimentStatus = 'pending'
  #start: { wall: number; monotonic: number } | undefined
  #end: { wall: number; monotonic: number } | undefined
  #placement: Placement | undefined

  constructor(experiment: CompleteExperiment, faults: readonly Fault[], settings: RunSettings) {
    this.experiment = experiment
    this.#faults = faults
    this.#settings = settings
    const { replay } = settings
    this.#sequence = replay ? FaultSequence.replay(replay) : new FaultSequence({ seed: experiment.seed, record: true })
  }

  get status(): ExperimentStatus {
    return this.#status
  }

  /** Resolves when it is over. Throws ChaosDisabledError where nothing may be injected; it is still pending then. */
  async run(): Promise<ExperimentResult> {
    if (this.#status === 'aborted') return this.result()
    const placement = this.#settings.chaos.place({
      faults: this.#faults,
      components: this.experiment.target_components,
      sequence: this.#sequence,
      fired: (fired) => this.#tally.add(fired, 'call'),
      ended: () => this.#finish(),
    })
    this.#placement = placement
    this.#status = 'running'
    this.#start = { wall: Date.now(), monotonic: performance.now() }
    this.#observe('experiment_started')
    const timer = setTimeout(() => placement.end(), this.experiment.duration_seconds * 1000)
    try {
      await this.#tickUntilEnd(placement)
    } finally {
      clearTimeout(timer)
      placement.end()
    }
    return this.result()
  }

  /** False when it is over already. */
  abort(): boolean {
    if (this.#status === 'completed' || this.#status === 'aborted') return false
    this.#status = 'aborted'
    this.#placement?.end()
    return true
  }

  /** As it stands now. */
  result(): ExperimentResult {
    const { experiment, status } = { experiment: this.experiment, status: this.#status }
    const elapsed = this.#start ? (this.#end?.monotonic ?? performance.now()) - this.#start.monotonic : 0
    return {
      experiment,
      status,
      start_time: this.#start ? new Date(this.#start.wall).toISOString() : null,
      end_time: this.#end ? new Date(this.#end.wall).toISOString() : null,
      observations: this.#observer.getObservations(),
      summary: this.#tally.summary(Math.round(elapsed) / 1000),
      sequence: this.#sequence.toJSON(),
    }
  }

  async #tickUntilEnd(placement: Placement): Promise<void> {
    const rules = this.#tickRules(placement)
    const { tick_ms: tick } = this.#settings
    const over = () => placement.hasEnded
    while (!over()) {
      for (const rule of rules) {
        // What it raises is what it is for; it has been counted.
        await fireAlone(rule).catch(() => false)
        if (over()) return
      }
      await placement.waits.sleep(tick)
    }
  }

  /** Apart from the rules of calls, so that ticks use up none of their `first_n`. */
  #tickRules(placement: Placement): Rule[] {
    return this.#faults.flatMap((fault, index) =>
      componentsOf(fault, this.experiment.target_components).map((component) =>
        placement.rule(fault, component, `tick/${component}/${index}`, (fired) => {
          this.#tally.add(fired, 'tick')
          this.#settings.chaos.tell(fired)
        }),
      ),
    )
  }

  #finish(): void {
    const now = { wall: Date.now(), monotonic: performance.now() }
    this.#end = now
    // Taken away early by somebody else: a disable(), or an abort.
    const left = this.experiment.duration_seconds * 1000 - (now.monotonic - (this.#start?.monotonic ?? now.monotonic))
    if (this.#status === 'running') this.#status = left > EARLY_MS ? 'aborted' : 'completed'
    this.#observe('experiment_ended')
  }

  #observe(event: 'experiment_started' | 'experiment_ended'): void {
    const { experiment_id, target_components } = this.experiment
    const details =
      event === 'experiment_ended' ? { experiment_id, status: this.#status } : { experiment_id, target_components }
    this.#observer.observe(EXPERIMENT, event, details)
  }
}

/** A timer may fire a little before its time. */
const EARLY_MS = 5

/** The component of observations about the experiment itself. */
const EXPERIMENT = 'experiment'
