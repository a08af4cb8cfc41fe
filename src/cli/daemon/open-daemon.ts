/** Puts the daemon together: what it obeys, what it remembers, and how its configuration is read anew. */
import { systemClock } from '../../core/clock.ts'
import type { Sink } from '../../core/events.ts'
import type { WarningCode } from '../../core/facts.ts'
import type { Report } from '../../core/report.ts'
import type { Daemon } from '../../daemon/daemon.ts'
import type { Tracker } from '../../daemon/tracker.ts'
import type { Trust } from '../../daemon/trust.ts'
import { slotLog } from '../../journal/due-log.ts'
import { openOrders } from '../../journal/file-orders.ts'
import type { History } from '../../journal/history.ts'
import type { Supervised } from '../supervised.ts'
import type { Configuration } from './configuration.ts'
import { Digests } from './output.ts'
import type { Told } from './output.ts'

export interface DaemonParts {
  all: Supervised
  configuration: Configuration
  tracker: Tracker
  told: Told
  version: string
  emit: Sink
  /** A reload begins. */
  reloading(): void
}

export interface OpenDaemon {
  daemon: Daemon
  trust: Trust
  digests: Digests
}

export async function openDaemon(parts: DaemonParts): Promise<OpenDaemon> {
  const { configuration, tracker, told, emit } = parts
  const { state, supervisor, signals } = parts.all
  const [{ Daemon }, { openHandled }, { Trust }, { LocalTurns }] = await Promise.all([
    import('../../daemon/daemon.ts'),
    import('../../daemon/schedule-file.ts'),
    import('../../daemon/trust.ts'),
    import('../../daemon/turns.ts'),
  ])
  for (const report of await lastReports(state.history)) tracker.remember(report)
  const warning =
    (code: WarningCode) =>
    (message: string): void =>
      supervisor.tell({ type: 'warning', code, message })
  const orders = await openOrders(state.path, systemClock.now())
  const trust = new Trust({
    ...{ orders, clock: systemClock, warn: warning('first_run') },
    mode: () => configuration.now.settings.trust,
    summaryOf: (run) => tracker.summaryOf(run),
  })
  supervisor.admitBy((run) => trust.admit(run))
  const daemon: Daemon = new Daemon({
    ...{ config: configuration.now, supervisor, stateDir: state.path, orders, tracker, trust, install: state.install },
    reload: async () => {
      parts.reloading()
      const { health } = configuration.now.settings
      const next = await configuration.reload(async (loaded) => {
        await told.use(loaded)
        await digests.use(loaded)
      })
      if (JSON.stringify(next.settings.health) !== JSON.stringify(health))
        warning('configuration')('settings.health_bind and health_token count from the next start')
      return next
    },
    hasReport: (run) => state.history.read(run).then((report) => report !== undefined),
    notified: () => told.notify,
    handled: await openHandled(state.path, warning('due_times')),
    version: parts.version,
    turns: new LocalTurns(configuration.now.settings.max_concurrent),
    slotLog: slotLog(state.path),
    clock: systemClock,
    stop: signals.signal,
  })
  const digests = new Digests({ state, supervisor, emit, next: () => daemon.next })
  await digests.use(configuration.now)
  return { daemon, trust, digests }
}

/** So many reports are looked through: a daemon with a run a second must not read its whole history at every start. */
const RECENT = 500

/** The newest reports, for `status`. */
async function lastReports(history: History): Promise<Report[]> {
  const runs = (await history.list()).slice(-RECENT)
  const found = await Promise.all(runs.map((run) => history.read(run).catch(() => undefined)))
  return found.filter((report) => report !== undefined)
}
