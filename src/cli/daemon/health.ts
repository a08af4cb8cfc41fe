/** Health and metrics around a daemon: off, and not even loaded, unless `settings.health_bind` is set. */
import type { Sink } from '../../core/events.ts'
import type { HealthSettings } from '../../core/experiment.ts'
import type { DaemonStatus } from '../../core/status.ts'
import { writeProbe } from '../../journal/probe.ts'

export interface Watched {
  stateDir: string
  status(): DaemonStatus
  tell(event: { type: 'health.listening'; url: string }): void
  /** Undoes what an earlier process left. */
  recover(): Promise<unknown>
}

export interface Health {
  /** Gets every event. */
  sink: Sink
  /** Listens as long as the work goes on. Throws ConfigError when it cannot, before the work is begun. */
  around<T>(daemon: Watched, work: () => Promise<T>): Promise<T>
}

/** Where nothing is to listen, only the work is done. */
export async function healthOf(settings: HealthSettings | undefined): Promise<Health> {
  if (settings === undefined) return { sink: () => undefined, around: (_daemon, work) => work() }
  const [{ makeMetrics }, { startHealth }] = await Promise.all([
    import('../../observe/metrics/index.ts'),
    import('../../observe/health.ts'),
  ])
  const metrics = makeMetrics()
  return {
    sink: metrics.sink,
    async around({ stateDir, status, tell, recover }, work) {
      const canWrite = writeProbe(stateDir)
      const server = await startHealth({ ...settings, metrics, status, canWrite }).catch(async (error: unknown) => {
        // A port that is in use must not keep what an earlier process left from being undone.
        await recover()
        throw error
      })
      try {
        const host = server.host.includes(':') ? `[${server.host}]` : server.host
        tell({ type: 'health.listening', url: `http://${host}:${server.port}` })
        return await work()
      } finally {
        await server.close()
      }
    },
  }
}
