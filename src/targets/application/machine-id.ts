/** Which machine this is: a clone gets another machine id, and keeps names, addresses and paths. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** By one of these systemd and others know a container. */
const CONTAINER_FILES = ['run/host/container-manager', 'run/systemd/container', 'run/.containerenv', '.dockerenv']

/**
 * Hashed, as machine-id(5) asks of everybody who shows it. Null where there is none that is the machine's and stays so: in a
 * container, which has that of its image, and where systemd makes one at each start of a machine that keeps none. `root` is
 * the folder in which to look for all of that.
 */
export async function ownMachineId(root = '/'): Promise<string | null> {
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8').catch(() => '')
  const id = (await read('etc/machine-id')).trim()
  // systemd writes `uninitialized` while a machine is started for the first time.
  if (!/^[0-9a-f]{32}$/.test(id)) return null
  if (isTransient(await read('proc/self/mountinfo'))) return null
  if (CONTAINER_FILES.some((path) => existsSync(join(root, path)))) return null
  if (isContained(await read('proc/1/environ'))) return null
  return createHash('sha256').update(`chaos-agents/${id}`).digest('hex').slice(0, 32)
}

/** One that is made anew at each start is in /run, and mounted over a file that cannot be written. */
function isTransient(mountinfo: string): boolean {
  return mountinfo.split('\n').some((line) => line.split(' ')[4] === '/etc/machine-id')
}

function isContained(environ: string): boolean {
  return environ.split('\0').some((variable) => /^container=./s.test(variable))
}
