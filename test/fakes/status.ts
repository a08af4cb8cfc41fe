/** What a daemon might say of itself, for tests of what is made from it. */
import type { DaemonStatus } from '../../src/core/status.ts'

/** One that has just become ready, with one experiment that comes every night. */
export function status(more: Partial<DaemonStatus> = {}): DaemonStatus {
  return {
    pid: 1,
    version: '1.2.3',
    state_dir: '/var/lib/chaos-agents',
    started_at: '2026-01-02T03:04:05.000Z',
    ready: true,
    config: { file: 'daemon.yaml', loaded_at: '2026-01-02T03:04:05.000Z' },
    running: [],
    queued: [],
    experiments: [
      {
        experiment: 'nightly',
        endpoint: 'postgres://db/shop',
        schedule: '0 0 2 * * *',
        timezone: 'UTC',
        next: '2026-01-03T02:00:00.000Z',
      },
    ],
    blocked: [],
    untrusted: [],
    notify: { delivered: 0, failed: 0, dropped: 0, waiting: 0 },
    ...more,
  }
}
