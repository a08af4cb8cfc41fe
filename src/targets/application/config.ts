/** `target_config` of an application: its name, where its instances listen, and what may be shown of that. */
import { z } from 'zod'
import { isLoopback } from '../../core/loopback.ts'
import { SHORTEST_TOKEN } from '../../faults/connect/protocol.ts'

const path = z.string().regex(/^(?:[^*]*\/)?[^/]+$/, {
  error: 'is not the path of a socket; write /run/app/chaos.sock, or /run/app/*.sock for a folder of them',
})

const url = z.string().refine(isAddress, { error: 'is not an address; write http://127.0.0.1:4711' })

export const config = z
  .strictObject({
    app: z.string().trim().min(1),
    socket: path.optional(),
    sockets: z.array(path).default([]),
    http: z.union([url.transform((one) => [one]), z.array(url)]).default([]),
    token: z
      .string()
      .min(SHORTEST_TOKEN, { error: `has fewer than ${SHORTEST_TOKEN} characters` })
      .optional(),
  })
  .check(({ value, issues }) => {
    const say = (path: string, message: string): void =>
      void issues.push({ code: 'custom', input: value, path: [path], message })
    if (value.socket === undefined && value.sockets.length + value.http.length === 0)
      say('socket', 'says nowhere where the application listens; write socket, sockets or http')
    if (value.http.length > 0 && value.token === undefined)
      say('token', 'is needed with http; write token: ${CHAOS_TOKEN}')
  })

export type ApplicationConfig = z.infer<typeof config> & Narrowed

/** Which of its instances are meant, where not all of them are. */
export interface Narrowed {
  /** This one; alone, where `except` is not there. */
  at?: string | undefined
  /** Besides it those that come later, and all others but these. */
  except?: readonly string[] | undefined
}

/** Where instances may listen; a socket's path may have `*` in its last part. */
export type Address = { socket: string } | { url: string }

export function addressesIn({ socket, sockets, http }: ApplicationConfig): Address[] {
  const paths = [...(socket === undefined ? [] : [socket]), ...sockets]
  return [...paths.map((path) => ({ socket: path })), ...http.map((one) => ({ url: one }))]
}

/** Equal for configurations that name the same addresses in any order. */
export function keyOf(config: ApplicationConfig): string {
  const all = addressesIn(config).map((one) => ('socket' in one ? one.socket : new URL(one.url).host))
  return `app://${config.app}@${[...new Set(all)].sort().join(',')}`
}

/**
 * Whether what is meant is on this machine: sockets and loopback addresses lead nowhere else. Of a place its own address alone
 * decides: a run and its recovery, which may reach for more than that, have to say the same.
 */
export function isHere(config: ApplicationConfig): boolean {
  const urls = config.at === undefined ? config.http : [config.at].filter((address) => URL.canParse(address))
  return urls.every((url) => isLoopback(new URL(url).hostname))
}

/** What the production guard looks at. */
export function namesOf({ app, http }: ApplicationConfig): string[] {
  return [...new Set([app, ...http.map((one) => new URL(one).hostname)])]
}

/** Where something listens, and nothing else: no user, path or query. */
function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password, pathname, search, hash } = new URL(text)
  return protocol === 'http:' && hostname !== '' && `${username}${password}${search}${hash}` === '' && pathname === '/'
}
