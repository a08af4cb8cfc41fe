/** `chaos daemon CONFIG`: recovers, then runs experiments on their schedules until it is stopped. */
import { refuseForeign } from '../../journal/exposed.ts'
import { stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'
import { serve } from './serve.ts'
import { serviceFiles } from './service.ts'

export interface DaemonCommandOptions {
  stateDir?: string
  json?: boolean
  pretty?: boolean
  pidFile?: string
  detach?: boolean
  /** Hidden: it was started by `--detach`. */
  detached?: boolean
  logFile?: string
}

export async function daemon(context: Context, file: string, options: DaemonCommandOptions): Promise<number> {
  const files = serviceFiles(options)
  const settled = { ...options, ...files, stateDir: stateDirOf(options.stateDir, context.env) }
  refuseForeign(settled.stateDir)
  if (options.detach !== true && options.detached !== true) return serve(context, file, settled, () => undefined)
  const { detach, detached } = await import('./detach.ts')
  if (options.detached === true) {
    const { logFile } = files
    const { openLogFile } = await import('./log-file.ts')
    const log = logFile === undefined ? undefined : openLogFile(logFile)
    const own = log ? { ...context, out: log.write, err: log.write } : context
    return detached(own, (heard, ready) => serve(heard, file, { ...settled, ...(log ? { log } : {}) }, ready))
  }
  const { json = false, pretty = false } = options
  return detach(context, { ...files, config: file, stateDir: settled.stateDir, json, pretty })
}
