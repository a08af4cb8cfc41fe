/** The service's log: one JSON line per event (pino), with run and step ids, the level by what it means for a person. */
import pino from 'pino'
import type { ChaosEvent, Sink } from '../core/events.ts'

export function logSink(level: string): Sink {
  // Synchronous: the last lines before a SIGKILL are the ones that matter.
  const log = pino({ level, base: { pid: process.pid }, timestamp: false }, pino.destination({ sync: true }))
  return (event) => {
    const { type, ...fields } = event
    log[levelOf(event)](fields, type)
  }
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
