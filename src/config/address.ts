/** `settings.health_bind` and its token: an address to listen on, and who may ask there. */
import { isIP } from 'node:net'
import type { HealthSettings } from '../core/experiment.ts'
import { isLoopback } from '../core/loopback.ts'
import type { Kind } from './kinds.ts'
import type { Source } from './source.ts'

export interface Address {
  host: string
  port: number
}

const LOOPBACK = '127.0.0.1'
const EXAMPLE = '"127.0.0.1:9464"'
const LARGEST_PORT = 65_535
/** Short ones can be guessed over the network. */
const SHORTEST_TOKEN = 16

/** `127.0.0.1:9464`, `[::1]:9464`, or a port alone, which is one of the loopback address. */
export const address: Kind<Address> = {
  read(value) {
    if (typeof value === 'number') return withPort(LOOPBACK, String(value))
    if (typeof value !== 'string') return undefined
    const { host = LOOPBACK, port = '' } = split(value)
    // Without its brackets the port of an IPv6 address cannot be told from a part of it.
    const bare = host.includes(':') && !value.startsWith('[')
    return isHost(host) && !bare ? withPort(host, port) : undefined
  },
  explain({ value, text }) {
    // What was filled in from elsewhere must not be shown, nor any part of it.
    const written = value === undefined ? '' : String(value)
    const { host, port = '' } = split(written)
    if (isIP(written) === 6 || (host?.includes(':') === true && !written.startsWith('['))) {
      return `must have an IPv6 address in brackets, with a port behind it: write e.g. "[::1]:9464"; got ${text}`
    }
    if (isHost(written)) return `has no port: write "${written}:9464"`
    if (host === '' || host === '*') {
      return `does not say which address: write "127.0.0.1:${port}", or "0.0.0.0:${port}" for all of this machine`
    }
    if (host !== undefined && !isHost(host)) {
      return `must have an IP address of this machine or localhost before the port, such as ${EXAMPLE}, got ${text}`
    }
    if (!/^\d+$/.test(port)) return `must be an address and a port such as ${EXAMPLE}, got ${text}`
    return `must have a port from 1 to ${LARGEST_PORT}, such as ${EXAMPLE}, got ${text}`
  },
}

export const healthToken: Kind<string> = {
  read: (value) =>
    typeof value === 'string' && value.length >= SHORTEST_TOKEN && /^[\x21-\x7e]+$/.test(value) ? value : undefined,
  explain: () =>
    `must be at least ${SHORTEST_TOKEN} letters, digits or signs without spaces: write e.g. health_token: \${file:/etc/chaos/health_token}, and fill that file with openssl rand -hex 32`,
}

/** Undefined when it is off, or wrong. */
export function readHealth(
  source: Source,
  { health_bind: bind, health_token: token }: { health_bind?: Address | undefined; health_token?: string | undefined },
): HealthSettings | undefined {
  const path = ['settings', 'health_bind']
  if (bind === undefined) {
    if (token !== undefined) source.warn(['settings', 'health_token'], 'is not used: there is no health_bind')
    return undefined
  }
  if (token !== undefined) return { ...bind, token }
  if (isLoopback(bind.host)) return bind
  source.problem(
    path,
    `can be reached from other machines: add health_token: \${HEALTH_TOKEN}, or write "${LOOPBACK}:${bind.port}"`,
  )
  return undefined
}

/** Everything before the last colon, without the brackets of IPv6; a text without a colon is a port. */
function split(text: string): { host?: string; port?: string } {
  const [, bracketed, plain, port] = /^(?:(?:\[(.*)\]|(.*)):)?([^:]*)$/s.exec(text) ?? []
  const host = bracketed ?? plain
  return { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) }
}

function isHost(text: string): boolean {
  return isIP(text) > 0 || text === 'localhost'
}

function withPort(host: string, port: string): Address | undefined {
  return /^\d{1,5}$/.test(port) && Number(port) <= LARGEST_PORT ? { host, port: Number(port) } : undefined
}
