/**
 * Whether a request over HTTP is meant for this server: a page of somebody's, in a browser on this machine, reaches it under
 * its own name or from its own origin (DNS rebinding), and is refused.
 */

/** What matters of a request. */
interface Asked {
  headers: { host?: string | undefined; origin?: string | undefined }
}

export interface OwnNames {
  /** Where it listens, as it was asked to: an address or a name, IPv6 without brackets. */
  host: string
  port: number
  /** More names that it is reached by: `proxy.test`, or with a port. */
  hosts?: readonly string[]
  /** More pages that may ask it: `http://localhost:3000`. */
  origins?: readonly string[]
}

/** Of a server that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/** Why a request is refused; undefined for one that is meant for this server. */
export function notForUs({ headers }: Asked, names: OwnNames): string | undefined {
  const host = headers.host?.toLowerCase() ?? ''
  if (!isOurs(host, names)) return `it does not answer for the Host ${JSON.stringify(host.slice(0, 200))}`
  return foreignOrigin(headers.origin, names)
}

/** The same for the Origin alone: where a token keeps others out, the Host may be any. */
export function foreignOrigin(origin: string | undefined, names: OwnNames): string | undefined {
  if (origin === undefined || names.origins?.includes(origin) === true) return undefined
  const at = origin.toLowerCase()
  if (at.startsWith('http://') && isOurs(at.slice('http://'.length), names)) return undefined
  return `it does not answer pages of ${JSON.stringify(origin.slice(0, 200))}`
}

function isOurs(host: string, { host: own, port, hosts = [] }: OwnNames): boolean {
  const bracketed = own.includes(':') ? `[${own}]` : own.toLowerCase()
  const names = ['localhost', '127.0.0.1', '[::1]', bracketed]
  const ports = port === 80 ? ['', ':80'] : [`:${port}`]
  if (names.some((name) => ports.some((end) => host === name + end))) return true
  return hosts.some((name) => host === name.toLowerCase() || ports.some((end) => host === name.toLowerCase() + end))
}
