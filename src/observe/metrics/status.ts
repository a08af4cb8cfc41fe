/** Metrics that are read off the daemon's status at each scrape. */
import { Counter, Gauge } from 'prom-client'
import type { Registry } from 'prom-client'
import type { DaemonStatus } from '../../core/status.ts'
import type { DueEvery } from './intervals.ts'

/** Returns the function that sets them all; it is called before each scrape. */
export function statusMetrics(
  registry: Registry,
  lastSuccess: Gauge<'experiment'>,
  dueEvery: DueEvery,
): (status: DaemonStatus) => void {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
  const perExperiment = (name: string, help: string): Gauge<'experiment'> =>
    new Gauge({ name, help, registers, labelNames: ['experiment'] })

  const build = new Gauge({
    name: 'chaos_build_info',
    help: 'Always 1; the version is in the label.',
    labelNames: ['version'],
    registers,
  })
  const ready = gauge(
    'chaos_ready',
    '1 when the first recovery is over and due runs are started; 0 before, and while it stops.',
  )
  const stopping = gauge('chaos_stopping', '1 while it stops: what runs is being undone.')
  const frozen = gauge('chaos_frozen', '1 while it is frozen: nothing is started.')
  const frozenSince = gauge(
    'chaos_frozen_since_timestamp_seconds',
    'Since when it is frozen, in seconds since 1970; 0 when it is not.',
  )
  const reloaded = gauge(
    'chaos_config_last_reload_successful',
    '1 when the configuration that is used is that of the file; 0 when the last reload failed and the one before it stays.',
  )
  const loaded = gauge(
    'chaos_config_loaded_timestamp_seconds',
    'When the configuration that is used was read, in seconds since 1970.',
  )
  const running = gauge('chaos_running', 'Runs in progress.')
  const queued = gauge('chaos_queued', 'Due runs that wait for their turn.')
  const pending = gauge('chaos_pending_undos', 'Runs that are over and not undone; recovery is tried again and again.')
  const residue = gauge('chaos_residue', 'Steps of those runs that are, or may be, still changed on their targets.')
  const blocked = gauge('chaos_blocked_targets', 'Targets with something that is not undone: no run may touch that.')
  const isBlocked = new Gauge({
    name: 'chaos_target_blocked',
    help: '1 when something on this target is not undone: no run may touch that. "unknown": no target at all.',
    labelNames: ['endpoint'],
    registers,
  })
  const untrusted = gauge('chaos_untrusted_targets', 'Targets that wait for chaos trust.')
  const next = perExperiment(
    'chaos_next_run_timestamp_seconds',
    'When it is due next, in seconds since 1970. Absent when never.',
  )
  const interval = perExperiment(
    'chaos_schedule_interval_seconds',
    'The longest time between its next due times. Absent when it has none, or is disabled.',
  )
  const last = perExperiment('chaos_last_run_timestamp_seconds', 'When its newest run ended, in seconds since 1970.')
  const disabled = perExperiment('chaos_experiment_disabled', '1 when it was disabled with chaos disable.')
  const notifications = new Counter({
    name: 'chaos_notifications_total',
    help: 'What became of notifications since the start.',
    labelNames: ['result'],
    registers,
  })
  const waiting = gauge('chaos_notifications_waiting', 'Notifications that are not delivered yet.')
  const perRun = [isBlocked, next, interval, last, disabled, notifications]

  return (status) => {
    for (const metric of perRun) metric.reset()
    build.set({ version: status.version }, 1)
    ready.set(Number(status.ready && status.stopping === undefined))
    stopping.set(Number(status.stopping !== undefined))
    frozen.set(Number(status.frozen !== undefined))
    frozenSince.set(status.frozen ? seconds(status.frozen.since) : 0)
    reloaded.set(Number(status.config.problem === undefined))
    loaded.set(seconds(status.config.loaded_at))
    running.set(status.running.length)
    queued.set(status.queued.length)
    pending.set(status.blocked.length)
    residue.set(status.blocked.reduce((sum, run) => sum + run.pending, 0))
    for (const { endpoint } of status.experiments) isBlocked.set({ endpoint }, 0)
    const targets = new Set(status.blocked.map((run) => (run.endpoint === '' ? 'unknown' : run.endpoint)))
    for (const endpoint of targets) isBlocked.set({ endpoint }, 1)
    blocked.set(targets.size)
    untrusted.set(status.untrusted.length)
    for (const entry of status.experiments) {
      const { experiment } = entry
      if (entry.next !== undefined) next.set({ experiment }, seconds(entry.next))
      const gap = entry.next === undefined || entry.disabled ? undefined : dueEvery(entry)
      if (gap !== undefined) interval.set({ experiment }, gap)
      if (entry.last) {
        last.set({ experiment }, seconds(entry.last.finished_at))
        // Known from the history, also where this process has seen no run yet.
        if (entry.last.outcome === 'completed' && entry.last.residue === 0)
          lastSuccess.set({ experiment }, seconds(entry.last.finished_at))
      }
      disabled.set({ experiment }, Number(entry.disabled !== undefined))
    }
    const { delivered, failed, dropped } = status.notify
    for (const [result, n] of Object.entries({ delivered, failed, dropped })) notifications.inc({ result }, n)
    waiting.set(status.notify.waiting)
  }
}

function seconds(iso: string): number {
  return Date.parse(iso) / 1_000
}
