/** Metrics that are counted as things happen: a sink over the events. */
import { Counter, Gauge, Histogram } from 'prom-client'
import type { Registry } from 'prom-client'
import type { ChaosEvent, RunEvent, Sink } from '../../core/events.ts'
import type { Outcome, Report } from '../../core/report.ts'

const OUTCOMES: readonly Outcome[] = ['completed', 'ineffective', 'failed', 'refused', 'aborted']
const SOAK_BUCKETS = [1, 10, 30, 60, 300, 900, 1_800, 3_600, 14_400]
const ROLLBACK_BUCKETS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600]
const STEP_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300]

/** Counts what it is told. Labels are names from the configuration and words from lists of ours: their number has a bound. */
export function eventMetrics(registry: Registry, lastSuccess: Gauge<'experiment'>): Sink {
  const made = { ...make(registry), lastSuccess }
  const runs = new RunMetrics(made)
  return (event) => {
    if ('run' in event && event.type !== 'worker.lost' && event.type !== 'recovery.retry') runs.see(event)
    else count(event, made)
  }
}

type Made = ReturnType<typeof make> & { lastSuccess: Gauge<'experiment'> }

function make(registry: Registry) {
  const registers = [registry]
  return {
    runs: new Counter({
      name: 'chaos_runs_total',
      help: 'Runs that are over, by what they came to. A run that is recovered later is counted once.',
      labelNames: ['experiment', 'target', 'outcome'] as const,
      registers,
    }),
    unclean: new Counter({
      name: 'chaos_unclean_runs_total',
      help: 'Runs that left something on their target or in the journal when they ended; recovery goes on with them.',
      labelNames: ['experiment'] as const,
      registers,
    }),
    soak: new Histogram({
      name: 'chaos_soak_seconds',
      help: 'How long faults were in place, from the last step before the soak to the beginning of the undo.',
      labelNames: ['experiment'] as const,
      buckets: SOAK_BUCKETS,
      registers,
    }),
    rollback: new Histogram({
      name: 'chaos_rollback_seconds',
      help: 'How long undoing a run took, from the end of the soak to its report.',
      labelNames: ['experiment'] as const,
      buckets: ROLLBACK_BUCKETS,
      registers,
    }),
    apply: new Histogram({
      name: 'chaos_step_apply_seconds',
      help: 'How long making one change took, reading it back included.',
      labelNames: ['skill'] as const,
      buckets: STEP_BUCKETS,
      registers,
    }),
    revert: new Histogram({
      name: 'chaos_step_revert_seconds',
      help: 'How long undoing one change took, reading it back included.',
      labelNames: ['skill'] as const,
      buckets: STEP_BUCKETS,
      registers,
    }),
    steps: new Counter({
      name: 'chaos_steps_total',
      help: 'What became of steps. A step is applied, skipped or failed, and then reverted or (at each attempt) revert_failed.',
      labelNames: ['skill', 'result'] as const,
      registers,
    }),
    kept: new Counter({
      name: 'chaos_kept_total',
      help: 'Values and rows that others had changed since, and that an undo therefore left as they were.',
      labelNames: ['skill'] as const,
      registers,
    }),
    skipped: new Counter({
      name: 'chaos_slots_skipped_total',
      help: 'Due times that did not become a run, by why.',
      labelNames: ['experiment', 'cause'] as const,
      registers,
    }),
    losses: new Counter({
      name: 'chaos_worker_losses_total',
      help: 'Workers that died in the middle of a run.',
      registers,
    }),
    clockSteps: new Counter({
      name: 'chaos_clock_steps_total',
      help: 'Times the clock of the machine was set.',
      registers,
    }),
    warnings: new Counter({
      name: 'chaos_warnings_total',
      help: 'Warnings in the log, of runs and of the daemon.',
      registers,
    }),
    appends: new Counter({
      name: 'chaos_journal_appends_total',
      help: 'Records that ended runs wrote to their journals.',
      registers,
    }),
    syncs: new Counter({
      name: 'chaos_journal_syncs_total',
      help: 'Records of ended runs that had to be on the disk before the run went on.',
      registers,
    }),
    syncSeconds: new Counter({
      name: 'chaos_journal_sync_seconds_total',
      help: 'How long ended runs waited for such records, all together.',
      registers,
    }),
    slowestSync: new Gauge({
      name: 'chaos_journal_slowest_sync_seconds',
      help: 'The longest wait for such a record in the run that ended last.',
      registers,
    }),
  }
}

/** What needs to remember a run until it is over. */
class RunMetrics {
  readonly #made: Made
  /** When the soak and the undo of a run began, milliseconds since 1970. */
  readonly #begun = new Map<string, { soak?: number; undo?: number }>()
  /** Runs that were counted and will end again, because they are not clean. */
  readonly #counted = new Set<string>()

  constructor(made: Made) {
    this.#made = made
  }

  see(event: RunEvent): void {
    const { steps, apply, revert, kept } = this.#made
    switch (event.type) {
      case 'run.started':
        // From zero, so that the increase to the first one can be seen.
        for (const outcome of OUTCOMES) this.#made.runs.inc({ ...pick(event), outcome }, 0)
        return
      case 'run.phase':
        if (event.phase === 'soak') this.#begun.set(event.run, { soak: Date.parse(event.at) })
        if (event.phase === 'quiesce')
          this.#begun.set(event.run, { ...this.#begun.get(event.run), undo: Date.parse(event.at) })
        return
      case 'step.applied':
        apply.observe({ skill: event.step.skill }, event.took_ms / 1_000)
        steps.inc({ skill: event.step.skill, result: 'applied' })
        return
      case 'step.reverted':
        revert.observe({ skill: event.step.skill }, event.took_ms / 1_000)
        steps.inc({ skill: event.step.skill, result: 'reverted' })
        kept.inc({ skill: event.step.skill }, event.kept)
        return
      case 'step.skipped':
      case 'step.failed':
      case 'step.revert_failed':
        steps.inc({ skill: event.step.skill, result: event.type.slice('step.'.length) })
        return
      case 'run.warning':
        this.#made.warnings.inc()
        return
      case 'run.finished':
        this.#finished(event)
        return
      default:
    }
  }

  #finished({ report, run, journal, at }: RunEvent & { type: 'run.finished' }): void {
    const { experiment } = report
    const { soak, undo } = this.#begun.get(run) ?? {}
    this.#begun.delete(run)
    if (soak !== undefined && undo !== undefined) this.#made.soak.observe({ experiment }, seconds(undo - soak))
    if (undo !== undefined) this.#made.rollback.observe({ experiment }, seconds(Date.parse(at) - undo))
    if (journal) {
      this.#made.appends.inc(journal.appends)
      this.#made.syncs.inc(journal.syncs)
      this.#made.syncSeconds.inc(journal.sync_ms / 1_000)
      this.#made.slowestSync.set(journal.slowest_sync_ms / 1_000)
    }
    const clean = isClean(report)
    if (clean && report.outcome === 'completed')
      this.#made.lastSuccess.set({ experiment }, seconds(Date.parse(report.finished_at)))
    // One that is not clean comes here again after every attempt at its recovery.
    if (!this.#counted.has(run)) {
      this.#made.runs.inc({ ...pick(report), outcome: report.outcome })
      this.#made.unclean.inc({ experiment }, clean ? 0 : 1)
    }
    if (clean) this.#counted.delete(run)
    else this.#counted.add(run)
  }
}

function count(event: ChaosEvent, made: Made): void {
  switch (event.type) {
    case 'schedule.skipped':
      made.skipped.inc({ experiment: event.experiment, cause: event.cause })
      return
    case 'worker.lost':
      made.losses.inc()
      return
    case 'clock.stepped':
      made.clockSteps.inc()
      return
    case 'warning':
      made.warnings.inc()
      return
    default:
  }
}

/** Nothing is left on the target, and the journal could say so. */
function isClean({ residue, exit_code }: Report): boolean {
  return residue.length === 0 && exit_code !== 5
}

function pick({ experiment, target }: { experiment: string; target: string }) {
  return { experiment, target }
}

/** Never below zero, which a clock that was set back would give. */
function seconds(ms: number): number {
  return Math.max(0, ms / 1_000)
}
