/** A command line that cannot be meant: exit code 2. */
import { ConfigError } from '../core/errors.ts'

export function usageError(where: string, message: string): ConfigError {
  return new ConfigError([{ file: where, line: 0, column: 0, path: '', message }], 'USAGE')
}
