/** Who may use a proxy over HTTP, and for what: its own names and pages, its server's path, and whoever has the token. */
import type { IncomingMessage } from 'node:http'
import { isSameToken } from '../core/same-token.ts'
import { foreignOrigin, notForUs } from '../faults/connect/own-names.ts'
import type { OwnNames } from '../faults/connect/own-names.ts'

export interface GateOptions extends Omit<OwnNames, 'port'> {
  /** The server's: any other is not there. */
  path: string
  /** Needed where others than this machine can connect. */
  token?: string | undefined
}

export interface Refused {
  status: 400 | 401 | 403 | 404 | 405
  reason: string
}

const METHODS = ['GET', 'POST', 'DELETE', 'OPTIONS', 'HEAD']
/** For clients whose Authorization is the server's. */
const TOKEN_HEADER = 'x-chaos-token'

/** Undefined for a request that may pass. */
export function refusalOf(request: IncomingMessage, { path, token, ...own }: GateOptions): Refused | undefined {
  const { headers, method = '', url = '' } = request
  const names = { ...own, port: request.socket.localPort ?? 0 }
  const foreign = token === undefined ? notForUs(request, names) : foreignOrigin(headers.origin, names)
  if (foreign !== undefined) return { status: 403, reason: `${foreign}; --allow-host and --allow-origin let others in` }
  if (token !== undefined && !hasToken(request, token))
    return {
      status: 401,
      reason: `this needs the header "Authorization: Bearer <token>" or "${TOKEN_HEADER}: <token>"`,
    }
  if (!url.startsWith('/')) return { status: 400, reason: 'a request names a path, and no other server' }
  if (url.split('?', 1)[0] !== path) return { status: 404, reason: `there is ${path} only` }
  if (!METHODS.includes(method)) return { status: 405, reason: `there is no ${method} in MCP` }
  return undefined
}

/** Headers that are for the proxy, and not for its server. */
export function ownHeaders(request: IncomingMessage, token: string | undefined): string[] {
  const isOurs = token !== undefined && isSameToken(bearerOf(request), token)
  return [TOKEN_HEADER, ...(isOurs ? ['authorization'] : [])]
}

function hasToken(request: IncomingMessage, token: string): boolean {
  const given = request.headers[TOKEN_HEADER]
  return isSameToken(bearerOf(request), token) || (typeof given === 'string' && isSameToken(given, token))
}

function bearerOf({ headers }: IncomingMessage): string {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? ''
}
