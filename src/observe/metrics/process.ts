/**
 * Metrics of the process under their usual names. Not prom-client's own set: it measures the event loop with a timer that
 * wakes the process a hundred times a second for as long as it lives, and an idle daemon should sleep.
 */
import { readdirSync } from 'node:fs'
import { Counter, Gauge } from 'prom-client'
import type { Registry } from 'prom-client'

/** Returns the function that sets them all; it is called before each scrape. */
export function processMetrics(registry: Registry): () => Promise<void> {
  const registers = [registry]
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time of the daemon itself, in seconds. Its workers are processes of their own.',
    registers,
  })
  const resident = gauge('process_resident_memory_bytes', 'Memory of the daemon itself that is in RAM.')
  const heap = gauge('nodejs_heap_size_used_bytes', 'Memory used by JavaScript objects.')
  const files = gauge('process_open_fds', 'Open file descriptors; 0 where it cannot be known.')
  const lag = gauge(
    'nodejs_eventloop_lag_seconds',
    'How late work is begun that is due at once, measured at the scrape.',
  )
  const start = gauge('process_start_time_seconds', 'When the process was started, in seconds since 1970.')
  start.set(Math.round(Date.now() / 1_000 - process.uptime()))
  return async () => {
    const { user, system } = process.cpuUsage()
    cpu.reset()
    cpu.inc((user + system) / 1e6)
    const { rss, heapUsed } = process.memoryUsage()
    resident.set(rss)
    heap.set(heapUsed)
    files.set(openFiles())
    const begun = performance.now()
    await new Promise((resolve) => setImmediate(resolve))
    lag.set((performance.now() - begun) / 1_000)
  }
}

function openFiles(): number {
  try {
    // One of them is the folder that is being read.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return 0
  }
}
