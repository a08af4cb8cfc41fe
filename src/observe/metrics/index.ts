/** What the daemon measures of itself, in the text format of Prometheus. Every metric is described in docs/metrics.md. */
import { Gauge, Registry } from 'prom-client'
import type { Sink } from '../../core/events.ts'
import type { DaemonStatus } from '../../core/status.ts'
import { boundedData, visibleLines } from '../../core/foreign.ts'
import { eventMetrics } from './events.ts'
import { dueEvery } from './intervals.ts'
import { processMetrics } from './process.ts'
import { statusMetrics } from './status.ts'

export interface Metrics {
  /** Counts events. */
  sink: Sink
  /** Everything, as of now; without a status (the daemon is not up yet) the metrics that are read off it keep their values. */
  text(status: DaemonStatus | undefined): Promise<string>
  contentType: string
  /** Every metric there is, whether it has a value or not. */
  describe(): { name: string; help: string; type: string; labels: string[] }[]
}

/** Characters of a label: more would only fill the memory of whoever collects it. */
const LONGEST_LABEL = 1_000

/** A registry of its own: nothing is shared with another one in the same process. */
export function makeMetrics(): Metrics {
  const registry = new Registry()
  const lastSuccess = new Gauge({
    name: 'chaos_last_success_timestamp_seconds',
    help: 'When the newest run ended that completed and left nothing, in seconds since 1970.',
    labelNames: ['experiment'] as const,
    registers: [registry],
  })
  const sink = eventMetrics(registry, lastSuccess)
  const readStatus = statusMetrics(registry, lastSuccess, dueEvery())
  const readProcess = processMetrics(registry)
  return {
    sink: (event) => sink(boundedData(event, LONGEST_LABEL)),
    async text(status) {
      if (status) readStatus(boundedData(status, LONGEST_LABEL))
      await readProcess()
      // Within a label a backslash is written twice.
      return visibleLines(await registry.metrics(), '\\\\')
    },
    contentType: registry.contentType,
    describe: () =>
      registry.getMetricsAsArray().map((metric) => {
        const { name, help, type, labelNames } = metric as unknown as {
          name: string
          help: string
          type: string
          labelNames: string[]
        }
        return { name, help, type, labels: [...labelNames] }
      }),
  }
}
