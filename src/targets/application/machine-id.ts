/** Which machine this is: a clone gets another machine id, and keeps names, addresses and paths. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'

/** Hashed, as machine-id(5) asks of everybody who shows it; null where the machine (often a container) has none. */
export async function ownMachineId(): Promise<string | null> {
  const id = await readFile('/etc/machine-id', 'utf8').then(
    (text) => text.trim(),
    () => '',
  )
  // systemd writes `uninitialized` while a machine is started for the first time.
  if (!/^[0-9a-f]{32}$/.test(id)) return null
  return createHash('sha256').update(`chaos-agents/${id}`).digest('hex').slice(0, 32)
}
