/** As whom a private PostgreSQL server runs (it refuses root), and where that user can reach its files. */
import { readFileSync, statSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** What `spawn` needs to run something as the server's user: nothing when we are an ordinary user ourselves. */
export interface ServerUser {
  uid?: number
  gid?: number
}

/** `nobody` for root, otherwise ourselves. */
export function serverUser(): ServerUser {
  if (process.geteuid?.() !== 0) return {}
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'nobody')
  if (!entry) throw new Error('PostgreSQL does not run as root, and there is no user `nobody` to run it as')
  return { uid: Number(entry[2]), gid: Number(entry[3]) }
}

/** Without PGDATA, PGPORT and the like, and with untranslated messages. */
export function cleanEnv(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' }
}

/** Whether the server's user, when it is not us, can enter the folder. */
export function reachable(folder: string, server = serverUser()): boolean {
  if (server.uid === undefined) return true
  const { uid, mode } = statSync(folder)
  const open = (mode & (uid === server.uid ? 0o100 : 0o001)) !== 0
  return open && (folder === dirname(folder) || reachable(dirname(folder), server))
}

/** A folder for one server's data that the server's user can reach, in the system's folder for temporary files. */
export async function temporaryFolder(prefix = 'chaos-postgres-'): Promise<string> {
  return mkdtemp(join([tmpdir(), '/tmp'].find((folder) => reachable(folder)) ?? '/tmp', prefix))
}
