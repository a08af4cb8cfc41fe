/** What a person sees of the demo: the daemon's events in the look of `chaos run`, and how the shop is doing meanwhile. */
import { formatDuration } from '../../src/core/duration.ts'
import type { ChaosEvent, RunEvent } from '../../src/core/events.ts'
import type { Paint } from '../../src/observe/paint.ts'
import { linesOf } from '../../src/observe/progress.ts'
import type { Meter, Summary } from './meter.ts'

/** The column of who speaks: the shop, the daemon, an experiment. */
const WIDTH = 12
/** A wait that is worth mentioning, milliseconds. */
const LONG_WAIT_MS = 250
/** Of the rows that the undo left alone because the application had changed them too. */
const NAMES_SHOWN = 3

/** What only machines want to know, or what the run's own lines say better. */
const HIDDEN: readonly ChaosEvent['type'][] = ['daemon.started', 'schedule.due', 'schedule.next']

interface Run {
  name: string
  soakMs: number
  /** When its first step was about to be applied; a moment of `performance.now()`. */
  began?: number
  chaosEnds?: () => void
  halfTime?: NodeJS.Timeout
}

export class View {
  readonly #write: (line: string) => void
  readonly #paint: Paint
  readonly #meter: Meter
  readonly #runs = new Map<string, Run>()
  readonly #notes = new Set<string>()

  constructor(write: (line: string) => void, paint: Paint, meter: Meter) {
    this.#write = write
    this.#paint = paint
    this.#meter = meter
  }

  /** A line of the demo's own. */
  tell(who: string, ...lines: readonly string[]): void {
    const time = this.#paint('dim', new Date().toISOString().slice(11, 19))
    for (const line of lines) this.#write(`${time} ${this.#paint('cyan', who.padEnd(WIDTH))} ${line}`)
  }

  see(event: ChaosEvent): void {
    if (!isOfRun(event)) {
      if (!HIDDEN.includes(event.type)) this.tell('daemon', ...linesOf(event, this.#paint))
      return
    }
    const run = this.#runOf(event)
    this.tell(run.name, ...this.#linesOf(event, run))
    this.#follow(event, run)
  }

  /** Its runs are over, whatever it was about to say of them. */
  daemonDied(): void {
    for (const { halfTime } of this.#runs.values()) clearTimeout(halfTime)
  }

  #runOf(event: RunEvent): Run {
    const known = this.#runs.get(event.run)
    if (known) return known
    const run =
      event.type === 'run.started'
        ? { name: event.experiment, soakMs: event.soak_ms }
        : { name: event.type === 'run.finished' ? event.report.experiment : event.run, soakMs: 0 }
    this.#runs.set(event.run, run)
    return run
  }

  #linesOf(event: RunEvent, run: Run): string[] {
    const paint = this.#paint
    switch (event.type) {
      case 'run.started':
        return [`${paint('bold', 'begins')} ${paint('dim', `(run ${event.run})`)}`]
      case 'run.planned':
        return this.#new(event.plan.notes).map((note) => `${paint('yellow', 'note')}: ${note}`)
      case 'run.phase':
        if (event.phase === 'soak') return [`soak ${formatDuration(run.soakMs)}: the shop must live with it`]
        if (event.phase === 'rollback') return [paint('bold', 'rollback')]
        return event.detail?.startsWith('waits') ? linesOf(event, paint) : []
      case 'step.reverted':
        return linesOf({ ...event, names: shortened(event.names) }, paint)
      default:
        return linesOf(event, paint)
    }
  }

  /** Every run of an experiment has the same notes: once will do. */
  #new(notes: readonly string[]): string[] {
    const news = notes.filter((note) => !this.#notes.has(note))
    for (const note of news) this.#notes.add(note)
    return news
  }

  #follow(event: RunEvent, run: Run): void {
    if (event.type === 'step.applying' && run.began === undefined) {
      run.began = performance.now()
      run.chaosEnds = this.#meter.chaosBegins()
    }
    if (event.type === 'run.phase' && event.phase === 'soak')
      run.halfTime = setTimeout(() => this.tell('shop', ...this.#waiting()), run.soakMs / 2)
    if (event.type !== 'run.finished') return
    clearTimeout(run.halfTime)
    run.chaosEnds?.()
    this.#runs.delete(event.run)
    if (run.began !== undefined) this.tell('shop', this.#effectOf(run.name, run.began))
  }

  #waiting(): string[] {
    const waiting = this.#meter.waiting().filter(({ ms }) => ms > LONG_WAIT_MS)
    if (waiting.length === 0) return []
    const each = waiting.map(({ session, ms }) => `${session} for ${formatDuration(ms)}`)
    return [this.#paint('yellow', `waiting: ${each.join(', ')}`)]
  }

  #effectOf(name: string, began: number): string {
    const [during, quiet] = [this.#meter.since(began), this.#meter.quiet()]
    return `during ${name}: ${inWords(during)}; ${this.#paint('dim', `without chaos: ${inWords(quiet)}`)}`
  }
}

function shortened(names: string[]): string[] {
  return names.length > NAMES_SHOWN + 1 ? [...names.slice(0, NAMES_SHOWN), '…'] : names
}

/** `worker.lost` and `recovery.retry` name a run, but it is the daemon who speaks. */
function isOfRun(event: ChaosEvent): event is RunEvent {
  return event.type.startsWith('run.') || event.type.startsWith('step.')
}

/** `96 transactions, median 0.9ms, slowest 41ms`. */
export function inWords({ count, median, slowest }: Summary): string {
  return `${count} transactions, median ${milliseconds(median)}, slowest ${milliseconds(slowest)}`
}

function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)}ms` : formatDuration(ms)
}
