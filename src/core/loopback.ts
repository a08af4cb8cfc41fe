/** Whether a host is this machine, whatever a name service says. */
import { isIP } from 'node:net'

/** An address (IPv6 with or without brackets) or a name. `localhost` alone is a name that nobody else can answer to. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) === 0) return /^localhost\.?$/i.test(bare)
  return bare === '::1' || bare.startsWith('127.')
}
