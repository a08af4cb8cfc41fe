/** What runs do right now, followed from their events: for `status`. */
import type { ChaosEvent } from '../core/events.ts'
import { totalOf } from '../core/plan-view.ts'
import type { Report } from '../core/report.ts'
import type { RunningRun } from '../core/status.ts'

interface Tracked {
  view: RunningRun
  soakMs: number
  summary: string
}

export class Tracker {
  readonly #runs = new Map<string, Tracked>()
  readonly #last = new Map<string, Report>()

  get running(): RunningRun[] {
    return [...this.#runs.values()].map(({ view }) => ({ ...view }))
  }

  /** What was discovered: version, size, sessions of others; empty before that. */
  summaryOf(run: string): string {
    return this.#runs.get(run)?.summary ?? ''
  }

  lastOf(experiment: string): Report | undefined {
    return this.#last.get(experiment)
  }

  /** A report of an earlier process. */
  remember(report: Report): void {
    this.#last.set(report.experiment, report)
  }

  /** A sink. */
  see(event: ChaosEvent): void {
    if (!('run' in event)) return
    const tracked = this.#runs.get(event.run) ?? begun(event.run, event.at)
    const { view } = tracked
    switch (event.type) {
      case 'run.finished':
        this.#runs.delete(event.run)
        this.remember(event.report)
        return
      case 'run.started':
        Object.assign(view, { experiment: event.experiment, endpoint: event.endpoint })
        tracked.soakMs = event.soak_ms
        break
      case 'run.phase':
        enter(tracked, event)
        break
      case 'run.planned':
        view.steps_total = totalOf(event.plan.counts.steps)
        break
      case 'step.applied':
      case 'step.reverted':
        view.steps_done += 1
        break
      default:
        return
    }
    this.#runs.set(event.run, tracked)
  }
}

function begun(run: string, since: string): Tracked {
  const view: RunningRun = {
    ...{ run, experiment: '', endpoint: '', phase: 'connect', since, steps_done: 0, steps_total: 0 },
  }
  return { view, soakMs: 0, summary: '' }
}

function enter(tracked: Tracked, { phase, detail, at }: Extract<ChaosEvent, { type: 'run.phase' }>): void {
  const { view } = tracked
  // What is undone is counted anew.
  if (phase === 'rollback') view.steps_done = 0
  if (phase === 'plan') tracked.summary = detail ?? ''
  view.phase = phase
  delete view.soak_ends
  if (phase === 'soak') view.soak_ends = new Date(Date.parse(at) + tracked.soakMs).toISOString()
}
