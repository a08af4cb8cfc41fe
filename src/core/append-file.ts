/** Opens a log that somebody has named: its file, and not where a link in its place leads. */
import { constants, fchmodSync, fstatSync, openSync } from 'node:fs'

/** Links of the system that lead to this process's own output. */
const OWN_OUTPUT = /^\/(?:dev\/(?:stdout|stderr|fd\/\d+)|proc\/self\/fd\/\d+)$/

/**
 * For appending; made with mode 0600. Of one that is there and ours, everybody's rights and the group's to write are taken
 * away; that of the group to read stays, for programs that collect logs. Throws what the system says; ELOOP for a link.
 */
export function openForAppending(path: string): number {
  const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants
  const careful = OWN_OUTPUT.test(path) ? 0 : O_NOFOLLOW | O_NONBLOCK
  const fd = openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | careful, 0o600)
  const { mode, uid } = fstatSync(fd)
  const isOurs = uid === process.geteuid?.()
  if (fstatSync(fd).isFile() && isOurs && (mode & 0o027) !== 0) fchmodSync(fd, mode & 0o740)
  return fd
}
