/** Events and notifications for tests. */
import type { ChaosEvent } from '../../src/core/events.ts'
import type { Notification, WebhookSink } from '../../src/core/notify.ts'
import type { Report } from '../../src/core/report.ts'

export const at = '2026-01-02T03:04:05.000Z'

export function reportOf(more: Partial<Report> = {}): Report {
  return {
    ...{ run: 'r1', experiment: 'nightly', target: 'database', endpoint: 'postgres://db:5432/shop', seed: 's' },
    ...{ outcome: 'completed', recovered: false, started_at: at, finished_at: at, soak_ms: 0 },
    ...{ residue: [], steps: [], notes: [], exit_code: 0 },
    ...more,
  }
}

export function finished(more: Partial<Report> = {}): ChaosEvent {
  const report = reportOf(more)
  return { type: 'run.finished', at: report.finished_at, run: report.run, report }
}

export const residue = [{ step: 2, resource: 'public.users', describe: 'insert 10 rows', error: 'canceled' }]

export function note(more: Partial<Notification> = {}): Notification {
  return {
    ...{
      format: 1,
      id: 'id-1',
      kind: 'failed',
      severity: 'error',
      title: 'nightly failed',
      text: 'It is <undone> & well.',
    },
    ...{ experiment: 'nightly', run: 'r1', endpoint: 'postgres://db:5432/shop', at, host: 'box', install: 'abc123' },
    ...more,
  }
}

export function hook(url: string, more: Partial<WebhookSink> = {}): WebhookSink {
  return { webhook: url, template: 'json', headers: {}, on: ['residue', 'failed', 'recovered'], ...more }
}
