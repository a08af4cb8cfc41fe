/** How much the log says: `CHAOS_LOG_LEVEL`. */
import { ConfigError } from '../core/errors.ts'

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** Of `CHAOS_LOG_LEVEL`; nothing means `info`. */
export function logLevelOf(text: string | undefined): LogLevel {
  if (text === undefined || text === '') return 'info'
  const level = LOG_LEVELS.find((known) => known === text.toLowerCase())
  if (level !== undefined) return level
  const message = `must be one of ${LOG_LEVELS.join(', ')}, got ${JSON.stringify(text.slice(0, 40))}`
  throw new ConfigError([{ file: 'environment', line: 0, column: 0, path: 'CHAOS_LOG_LEVEL', message }], 'USAGE')
}
