/** The daemon as a service: its pid file, and what whoever started it is told. */
import { resolve } from 'node:path'
import { ConfigError } from '../../core/errors.ts'
import type { Sink } from '../../core/events.ts'
import { readHolder } from '../../supervisor/lock.ts'
import { writePidFile } from '../../daemon/pid-file.ts'
import { serviceManager } from '../../daemon/service-manager.ts'
import type { Context } from '../context.ts'

export interface ServiceOptions {
  stateDir: string
  /** Absolute. */
  pidFile?: string | undefined
  /** Called when the daemon is ready. */
  ready(): void
}

export interface Service {
  readonly sink: Sink
  /** A reload begins; an event says how it ended. */
  reloading(): void
  /** Around what is done while the state folder is locked. */
  run<T>(work: () => Promise<T>): Promise<T>
}

export function service(context: Context, { stateDir, pidFile, ready }: ServiceOptions): Service {
  const manager = serviceManager({
    env: context.env,
    // It goes through the disk: a state folder that hangs, is gone, or is somebody else's by now is no health.
    healthy: async () => (await readHolder(stateDir))?.pid === process.pid,
    warn: (message) => context.err(`warning: ${message}\n`),
  })
  return {
    sink(event) {
      manager.sink(event)
      if (event.type === 'daemon.ready') ready()
    },
    reloading: () => manager.reloading(),
    async run(work) {
      const written = pidFile === undefined ? undefined : await writePidFile(pidFile)
      try {
        return await work()
      } finally {
        await manager.close()
        await written?.remove()
      }
    },
  }
}

/** The options that name files, absolute. Throws ConfigError for those that do not fit together. */
export function serviceFiles(options: { pidFile?: string; logFile?: string; detach?: boolean; detached?: boolean }): {
  pidFile?: string
  logFile?: string
} {
  const { pidFile, logFile } = options
  if (logFile !== undefined && options.detach !== true && options.detached !== true) {
    const message = 'is for --detach; otherwise the log goes to the standard output, which can be redirected'
    throw new ConfigError([{ file: 'daemon', line: 0, column: 0, path: '--log-file', message }], 'USAGE')
  }
  return {
    ...(pidFile === undefined ? {} : { pidFile: resolve(pidFile) }),
    ...(logFile === undefined ? {} : { logFile: resolve(logFile) }),
  }
}
