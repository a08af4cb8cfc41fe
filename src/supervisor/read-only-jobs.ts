/** The jobs that only look: a plan, a survey, what carries our marks. They claim nothing, and none of them has a journal. */
import type { Clock } from '../core/clock.ts'
import { CodedError } from '../core/errors.ts'
import type { Experiment } from '../core/experiment.ts'
import type { PlanView } from '../core/plan-view.ts'
import type { Survey } from '../core/survey.ts'
import type { Swept } from '../engine/sweep.ts'
import { mintRun } from '../journal/names.ts'
import type { Job, Result, SweepOrder } from './protocol.ts'

export interface LooksOptions {
  /** The install id, and where the state folder is. */
  state: { readonly install: string; readonly path: string }
  clock: Clock
  /** Does the job in a worker of its own. */
  work(job: Job): Promise<Result>
}

export class Looks {
  readonly #options: LooksOptions

  constructor(options: LooksOptions) {
    this.#options = options
  }

  /** Connects, discovers and plans; changes nothing. */
  async preview(experiment: Experiment, seed: string): Promise<PlanView> {
    const { state, work } = this.#options
    const result = await work({ kind: 'preview', install: state.install, run: this.#mint(), experiment, seed })
    if (result.kind === 'plan') return result.plan
    throw new CodedError('WORKER_LOST', 'the worker answered something else than a plan')
  }

  /** Connects and looks at the experiment's target; changes nothing. */
  async survey(experiment: Experiment): Promise<Survey> {
    const { state, work } = this.#options
    const result = await work({ kind: 'survey', install: state.install, run: this.#mint(), experiment })
    if (result.kind === 'survey') return result.survey
    throw new CodedError('WORKER_LOST', 'the worker answered something else than a survey')
  }

  /** What carries marks on the experiment's target; with `remove`, what of the install belongs to no live run is ended. */
  async sweep(experiment: Experiment, order: Partial<SweepOrder> & Omit<SweepOrder, 'install'>): Promise<Swept[]> {
    const { state, work } = this.#options
    const sweep = { install: state.install, ...order }
    const result = await work({ kind: 'sweep', state_dir: state.path, run: this.#mint(), experiment, sweep })
    if (result.kind === 'sweep') return result.swept
    throw new CodedError('WORKER_LOST', 'the worker answered something else than what it swept')
  }

  /** Its connections carry a mark like those of a run. */
  #mint(): string {
    return mintRun(this.#options.clock.now())
  }
}
