/** Which start of this machine it is: containers on it share it, and a reboot changes it. */
import { readFileSync } from 'node:fs'

/** Undefined where the kernel does not tell (it is Linux that does). */
export function bootId(): string | undefined {
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return id === '' ? undefined : id
  } catch {
    return undefined
  }
}
