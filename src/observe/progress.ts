/** Events as lines for a person: coloured with a soak countdown on a terminal, plain elsewhere. */
import { counted } from '../core/counted.ts'
import type { ChaosEvent, Sink } from '../core/events.ts'
import { formatDuration } from '../core/duration.ts'
import { visibleData } from '../core/foreign.ts'
import { observedText } from '../core/observed.ts'
import { moreText } from '../core/plan-view.ts'
import type { PlanView, StepView } from '../core/plan-view.ts'
import type { Report } from '../core/report.ts'
import type { Inspection } from '../core/skill.ts'
import { digestLines } from './digest.ts'
import { paintFor, redraws } from './paint.ts'
import type { Paint, Screen } from './paint.ts'
import { wrapLine } from './wrap-line.ts'

export interface ProgressOptions {
  write(text: string): void
  /** On a terminal: colours, a countdown line that is redrawn, and lines that break at words. */
  screen: Screen
}

export function progress({ write, screen }: ProgressOptions): Sink {
  const paint = paintFor(screen)
  const names = new Map<string, string>()
  const countdown = redraws(screen) ? new Countdown(write) : undefined
  return (given) => {
    const event = visibleData(given)
    if (event.type === 'run.started') names.set(event.run, event.experiment)
    const name = 'run' in event ? (names.get(event.run) ?? event.run) : ''
    const lines = linesOf(event, paint)
    countdown?.clear()
    for (const line of lines) {
      const time = paint('dim', `${event.at.slice(11, 19)}Z`)
      const text = `${time} ${name === '' ? '' : `${paint('cyan', name)}  `}${line}`
      write(`${wrapLine(text, screen.tty ? screen.columns : undefined, 10)}\n`)
    }
    countdown?.see(event)
    if (event.type === 'run.finished') names.delete(event.run)
  }
}

/** The lines of one event; none for what only machines want to know. */
export function linesOf(event: ChaosEvent, paint: Paint): string[] {
  switch (event.type) {
    case 'run.started':
      return [
        `${paint('bold', 'run')} ${event.run} on ${event.target} ${event.endpoint}, soak ${formatDuration(event.soak_ms)}, seed ${event.seed}`,
      ]
    case 'run.phase':
      return event.phase === 'done'
        ? []
        : [paint('dim', `${event.phase}${event.detail === undefined ? '' : `: ${event.detail}`}`)]
    case 'run.planned':
      return planLines(event.plan, paint)
    case 'step.applied':
      return [
        `${paint('yellow', '▲')} ${label(event.step)}  ${paint('dim', `${effectText(event.effect)}, ${formatDuration(event.took_ms)}`)}`,
      ]
    case 'step.skipped':
      return [`${paint('dim', '–')} ${label(event.step)}  skipped: ${event.reason}`]
    case 'step.failed':
      return [`${paint('red', '✗')} ${label(event.step)}  ${event.error}`]
    case 'step.reverted': {
      const met = event.observed ? `, ${observedText(event.observed)}` : ''
      const kept = event.kept > 0 ? `, kept ${event.kept} changed by others (${event.names.join(', ')})` : ''
      return [
        `${paint('green', '▼')} undone: ${label(event.step)}  ${paint('dim', formatDuration(event.took_ms))}${met}${kept}`,
      ]
    }
    case 'step.revert_failed':
      return [`${paint('red', '✗ not undone')}: ${label(event.step)}  ${event.error}`]
    case 'run.aborting':
      return [paint('yellow', `aborting: ${event.reason}; everything is being undone`)]
    case 'run.warning':
      return [paint('yellow', `warning: ${event.message}`)]
    case 'run.finished':
      return summaryLines(event.report, paint)
    case 'step.applying':
    case 'step.reverting':
      return []
    case 'daemon.started':
      return [
        `chaos daemon (pid ${event.pid}), ${counted(event.experiments, 'experiment')}, state in ${event.state_dir}`,
      ]
    case 'daemon.ready':
      return [paint('bold', 'ready')]
    case 'health.listening':
      return [`health and metrics at ${event.url}`]
    case 'daemon.stopping':
      return [`stopping: ${event.reason}; what is running is being undone`]
    case 'daemon.stopped':
      return [`stopped (exit code ${event.exit_code})`]
    case 'daemon.reloaded':
      return [paint('bold', `read ${event.file} anew: ${counted(event.experiments, 'experiment')}`)]
    case 'daemon.reload_failed':
      return [paint('red', `${event.file} is not used, the configuration before stays:`), ...event.problem.split('\n')]
    case 'daemon.frozen':
      return [paint('yellow', `frozen${event.until === undefined ? '' : ` until ${event.until}`}: ${event.reason}`)]
    case 'daemon.unfrozen':
      return [`no longer frozen: ${event.reason}`]
    case 'experiment.disabled':
      return [`${event.experiment} is disabled${event.until === undefined ? '' : ` until ${event.until}`}`]
    case 'experiment.enabled':
      return [`${event.experiment} is enabled`]
    case 'clock.stepped':
      return [
        paint(
          'yellow',
          `the clock was set ${event.by_ms > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(event.by_ms))}`,
        ),
      ]
    case 'schedule.due':
      return [`${event.experiment} is due (${event.slot})`]
    case 'schedule.queued':
      return [`${event.experiment} waits: ${event.reason}`]
    case 'schedule.skipped':
      return [paint('yellow', `${event.experiment} at ${event.slot} is skipped: ${event.reason}`)]
    case 'schedule.next':
      return [paint('dim', `next ${event.experiment}: ${event.next}`)]
    case 'worker.lost':
      return [paint('red', `the worker of run ${event.run} is gone (${event.detail}); recovering`)]
    case 'recovery.started':
      return [paint('bold', `recovering ${event.runs.join(', ')}`)]
    case 'recovery.finished':
      return [
        event.pending === 0
          ? paint('green', `recovered: ${event.clean} clean`)
          : paint('red', `recovered ${event.clean}, still pending ${event.pending}`),
      ]
    case 'recovery.retry':
      return [
        paint(
          'red',
          `run ${event.run} is still not undone: ${event.reason}; next try in ${formatDuration(event.in_ms)}${event.quarantined === undefined ? '' : `, but not of step ${event.quarantined.join(', ')}`}`,
        ),
      ]
    case 'digest':
      return digestLines(event.digest, paint)
    case 'warning':
      return [paint('yellow', `warning: ${event.message}`)]
  }
}

/** What would run, and what not and why; of what is not in the view, how much it is. */
export function planLines(given: PlanView, paint: Paint): string[] {
  const { counts, ...plan } = visibleData(given)
  const more = (text: string | undefined): string[] => (text === undefined ? [] : [`     and ${text}`])
  const skipped = moreText(
    counts.skipped,
    plan.skipped.map((s) => s.skill),
  )
  return [
    ...plan.steps.map((step) => `  ${String(step.step).padStart(3)}. ${label(step)}`),
    ...more(
      moreText(
        counts.steps,
        plan.steps.map((s) => s.skill),
      ),
    ),
    ...plan.skipped.map(
      (s) =>
        `    ${paint('dim', '–')} ${s.skill} ${s.resource}: skipped, ${s.reason}${s.fix === undefined ? '' : `  →  ${s.fix.replaceAll('\n', '\n          ')}`}`,
    ),
    ...more(skipped === undefined ? undefined : `${skipped} skipped; chaos discover says why`),
    ...plan.notes.map((note) => `    ${paint('yellow', 'note')}: ${note}`),
    ...more(counts.notes > plan.notes.length ? `${counts.notes - plan.notes.length} more notes` : undefined),
  ]
}

export function summaryLines(given: Report, paint: Paint): string[] {
  const report = visibleData(given)
  const done = report.steps.filter((s) => s.state === 'reverted').length
  const kept = report.steps.reduce((sum, s) => sum + (s.kept ?? 0), 0)
  const outcome = paint(
    report.outcome === 'completed' ? 'green' : 'yellow',
    report.outcome + (report.recovered ? ' (recovered)' : ''),
  )
  const residue =
    report.residue.length === 0 ? paint('green', 'residue 0') : paint('red', `residue ${report.residue.length}`)
  return [
    `${paint('bold', outcome)}: ${done} of ${counted(report.steps.filter((s) => s.state !== 'skipped').length, 'step')} undone, ${residue}${kept > 0 ? `, kept ${kept}` : ''}${report.reason === undefined ? '' : `  (${report.reason})`}`,
    ...report.residue.map((r) => paint('red', `  step ${r.step} ${r.describe}: ${r.error}`)),
  ]
}

function label(step: StepView): string {
  return `${step.skill} ${step.describe}`
}

function effectText({ inEffect, load, foreign }: Inspection): string {
  return [`${inEffect + (load ?? 0)} in effect`, ...(foreign > 0 ? [`${foreign} changed by others`] : [])].join(', ')
}

/** One redrawn line at the bottom while runs soak. */
class Countdown {
  readonly #ends = new Map<string, number>()
  readonly #soaks = new Map<string, number>()
  readonly #write: (text: string) => void
  #timer: NodeJS.Timeout | undefined
  #drawn = false

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  clear(): void {
    if (this.#drawn) this.#write('\r\u001b[2K')
    this.#drawn = false
  }

  see(event: ChaosEvent): void {
    if (event.type === 'run.started') this.#soaks.set(event.run, event.soak_ms)
    if (event.type === 'run.phase') {
      if (event.phase === 'soak') this.#ends.set(event.run, Date.now() + (this.#soaks.get(event.run) ?? 0))
      else this.#ends.delete(event.run)
    }
    if (event.type === 'run.finished' || event.type === 'run.aborting') this.#ends.delete(event.run)
    if (event.type === 'run.finished') this.#soaks.delete(event.run)
    if (this.#ends.size > 0) {
      this.#timer ??= setInterval(() => this.#draw(), 1_000).unref()
      this.#draw()
    } else {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #draw(): void {
    this.clear()
    const left = [...this.#ends.values()].map((end) =>
      formatDuration(Math.max(0, Math.round((end - Date.now()) / 1000) * 1000)),
    )
    if (left.length === 0) return
    this.#write(`soaking, ${left.join(' and ')} left (Ctrl-C rolls back)`)
    this.#drawn = true
  }
}
