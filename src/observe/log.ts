/** The service's log: one JSON line per event (pino) with run, experiment and step, at the level that it has for a person. */
import pino from 'pino'
import type { ChaosEvent, Sink } from '../core/events.ts'
import { boundedData, visibleLines } from '../core/foreign.ts'
import type { Report } from '../core/report.ts'
import type { LogLevel } from './log-level.ts'

export interface LogOptions {
  level: LogLevel
  version: string
  install: string
  /** The experiments of runs that began before this process. */
  experiments?: ReadonlyMap<string, string>
  /** Standard output when absent. */
  write?(line: string): void
}

export function logSink({ level, version, install, experiments, write }: LogOptions): Sink {
  const names = new Map(experiments)
  // Synchronous: the last lines before a SIGKILL are the ones that matter.
  const output = write === undefined ? pino.destination({ sync: true }) : { write }
  const log = pino(
    {
      level,
      base: { pid: process.pid, version, install },
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
    },
    // Journals are read on terminals. Within JSON an escaped character is the same one.
    { write: (line: string) => void output.write(visibleLines(line)) },
  )
  return (given) => {
    const event = boundedData(given)
    if (event.type === 'run.started') names.set(event.run, event.experiment)
    const { type, at, ...fields } = flat(event)
    const experiment = 'run' in event ? names.get(event.run) : undefined
    log[levelOf(event)]({ time: at, ...(experiment === undefined ? {} : { experiment }), ...fields }, type)
    // What is not undone will be heard of again.
    if (event.type === 'run.finished' && event.report.residue.length === 0) names.delete(event.run)
  }
}

/** A step by its number and what it is; a report without its steps, which are in the history. */
function flat(event: ChaosEvent): { type: string; at: string } & Record<string, unknown> {
  if ('step' in event) {
    const { step, ...rest } = event
    return { ...rest, ...step }
  }
  // On every line already.
  if (event.type === 'daemon.started') return { ...event, pid: undefined }
  if (event.type !== 'run.finished') return event
  const { report, ...rest } = event
  return { ...rest, ...summary(report) }
}

function summary({ steps, ...report }: Report): Record<string, unknown> {
  const kept = steps.reduce((sum, step) => sum + (step.kept ?? 0), 0)
  return { ...report, steps: steps.length, reverted: steps.filter((s) => s.state === 'reverted').length, kept }
}

function levelOf(event: ChaosEvent): 'info' | 'warn' | 'error' | 'debug' {
  switch (event.type) {
    case 'step.revert_failed':
      return 'error'
    case 'run.finished':
      return event.report.residue.length > 0 ? 'error' : event.report.outcome === 'completed' ? 'info' : 'warn'
    case 'step.failed':
    case 'run.warning':
    case 'worker.lost':
    case 'recovery.retry':
    case 'schedule.skipped':
    case 'daemon.reload_failed':
    case 'daemon.frozen':
    case 'clock.stepped':
    case 'warning':
      return 'warn'
    case 'step.applying':
    case 'step.reverting':
    case 'run.planned':
      return 'debug'
    default:
      return 'info'
  }
}
