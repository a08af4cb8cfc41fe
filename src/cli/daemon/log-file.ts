/** The log file of a daemon in the background: what it says goes there, also after the file was moved away for rotation. */
import { closeSync, writeSync } from 'node:fs'
import { openForAppending } from '../../core/append-file.ts'
import { ConfigError, messageOf } from '../../core/errors.ts'
import { giveToOwner } from '../../journal/owner.ts'

export interface LogFile {
  write(text: string): void
  /** Goes on under its name; where that cannot be opened, in the file that it has. Returns why it cannot. */
  reopen(): string | undefined
}

export function openLogFile(path: string): LogFile {
  let fd = openLog(path)
  return {
    write(text) {
      try {
        writeSync(fd, text)
      } catch {
        // A full disk must not end what undoes.
      }
    },
    reopen() {
      try {
        const next = openLog(path)
        closeSync(fd)
        fd = next
        return undefined
      } catch (error) {
        return messageOf(error)
      }
    },
  }
}

/** Throws ConfigError where it cannot be written. */
export function openLog(path: string): number {
  try {
    const log = openForAppending(path)
    giveToOwner(log, path)
    return log
  } catch (error) {
    const link = error instanceof Error && 'code' in error && error.code === 'ELOOP'
    const message = link
      ? `${path} is a symbolic link, which is not followed: name the file itself`
      : `${path} cannot be written (${messageOf(error)}): name another file`
    throw new ConfigError([{ file: 'log file', line: 0, column: 0, path: '--log-file', message }], 'USAGE')
  }
}
