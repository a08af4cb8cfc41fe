/** Keeps experiments and their results: schedule, run, abort, getResult. */
import type { Chaos } from './chaos.ts'
import { application } from './enable.ts'
import { readExperiment } from './experiment.ts'
import type { ChaosExperiment, ExperimentResult } from './experiment.ts'
import { FaultConfigError } from './fault.ts'
import { mintSeed } from './random.ts'
import { ExperimentRun } from './run.ts'
import type { SavedSequence } from './sequence.ts'

export interface SchedulerOptions {
  /** The switch to obey, and the components to break; the application's unless told. */
  chaos?: Chaos
  /** Between two rounds of the tick loop. */
  tick_ms?: number
}

export class ExperimentScheduler {
  readonly #chaos: Chaos
  readonly #tickMs: number
  readonly #runs = new Map<string, ExperimentRun>()

  constructor({ chaos = application, tick_ms: tick = 1000 }: SchedulerOptions = {}) {
    this.#chaos = chaos
    this.#tickMs = tick
  }

  /** Its experiment_id, minted where it has none. `replay`: the sequence of an earlier result, whose calls fire again. */
  schedule(experiment: ChaosExperiment, { replay }: { replay?: SavedSequence } = {}): string {
    const read = readExperiment(experiment, () => `exp-${mintSeed()}`)
    const id = read.experiment.experiment_id
    const known = this.#runs.get(id)
    if (known?.status === 'pending' || known?.status === 'running')
      throw new FaultConfigError(`experiment ${id} is ${known.status} already: give each its own experiment_id`)
    this.#runs.set(
      id,
      new ExperimentRun(read.experiment, read.faults, { chaos: this.#chaos, tick_ms: this.#tickMs, replay }),
    )
    return id
  }

  /** Resolves with the result when its time is over, or it is aborted. */
  async run(experimentId: string): Promise<ExperimentResult> {
    const run = this.#find(experimentId)
    if (run.status === 'running' || run.status === 'completed')
      throw new FaultConfigError(`experiment ${experimentId} is ${run.status}: schedule it again to run it again`)
    return run.run()
  }

  /** Before or during its run; its faults are gone when this returns. False when it is over already. */
  abort(experimentId: string): boolean {
    return this.#find(experimentId).abort()
  }

  /** As it stands now, also before and during the run. */
  getResult(experimentId: string): ExperimentResult {
    return this.#find(experimentId).result()
  }

  #find(id: string): ExperimentRun {
    const run = this.#runs.get(id)
    if (run) return run
    throw new FaultConfigError(
      `no experiment ${id} was scheduled here; there is ${[...this.#runs.keys()].join(', ') || 'none'}`,
    )
  }
}
