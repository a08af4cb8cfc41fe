/** One application as skills see it: its instances, each asked over its socket or address, and what became of one that is silent. */
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { basename, dirname, join } from 'node:path'
import { within } from '../../core/within.ts'
import { LONGEST_BODY, PROTOCOL } from '../../faults/connect/protocol.ts'
import type {
  EndAll,
  Grant,
  Hello,
  Leases,
  LeaseView,
  Marked,
  Refusal,
  RefusalCode,
} from '../../faults/connect/protocol.ts'
import { placesOf } from './config.ts'
import type { ApplicationConfig } from './config.ts'

/** How long one answer may take. */
const ANSWER_MS = 2_000

/** An instance that answers. */
export interface Instance {
  /** The path of its socket, or its URL. */
  address: string
  hello: Hello
}

/**
 * Why an address gives no answer. `refused`: nothing listens there, so whatever listened has ended its faults. `denied`: the
 * token or the socket's owner is another. `stranger`: another application. `silent`: it is there, or may be.
 */
export interface Silence {
  address: string
  why: 'refused' | 'denied' | 'stranger' | 'silent'
  message: string
}

export interface Seen {
  instances: Instance[]
  silences: Silence[]
}

export interface AppReader {
  readonly app: string
  /** Asks every address; folders of sockets are read anew. */
  look(signal: AbortSignal): Promise<Seen>
}

export interface AppClient extends AppReader {
  grant(address: string, grant: Grant, signal: AbortSignal): Promise<Marked>
  renew(address: string, mark: string, signal: AbortSignal): Promise<Marked>
  end(address: string, what: Marked | EndAll, signal: AbortSignal): Promise<{ ended: string[] }>
  leases(address: string, signal: AbortSignal): Promise<LeaseView[]>
}

/** No answer at all. */
export class SilentError extends Error {
  readonly why: Silence['why']
  constructor(why: Silence['why'], message: string, cause?: unknown) {
    super(message, { cause })
    this.why = why
  }
}

/** The application has answered, and said no. */
export class SaidNoError extends Error {
  readonly code: RefusalCode
  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}

export function applicationClient(config: ApplicationConfig): AppClient {
  const ask = <T>(address: string, method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: object) =>
    exchange(address, config.token, method, `/v${PROTOCOL}/${path}`, signal, body) as Promise<T>
  return {
    app: config.app,
    async look(signal) {
      const seen: Seen = { instances: [], silences: [] }
      const one = async (address: string): Promise<void> => {
        try {
          const hello = await ask<Hello>(address, 'GET', 'hello', signal)
          if (hello.app === config.app) seen.instances.push({ address, hello })
          else seen.silences.push({ address, why: 'stranger', message: `it is ${JSON.stringify(hello.app)}` })
        } catch (error) {
          signal.throwIfAborted()
          const why = error instanceof SilentError ? error.why : 'silent'
          seen.silences.push({ address, why, message: error instanceof Error ? error.message : String(error) })
        }
      }
      await Promise.all((await addressesOf(config)).map(one))
      seen.instances.sort((a, b) => (a.address < b.address ? -1 : 1))
      return seen
    },
    grant: (address, grant, signal) => ask(address, 'POST', 'leases', signal, grant),
    renew: (address, mark, signal) => ask(address, 'POST', 'renew', signal, { mark }),
    end: (address, what, signal) => ask(address, 'POST', 'end', signal, what),
    leases: async (address, signal) => (await ask<Leases>(address, 'GET', 'leases', signal)).leases,
  }
}

/** Every address now; a folder that is not there has none. */
async function addressesOf(config: ApplicationConfig): Promise<string[]> {
  const all = placesOf(config).map(async (place) =>
    'url' in place ? [place.url.replace(/\/$/, '')] : socketsOf(place.socket),
  )
  return [...new Set((await Promise.all(all)).flat())]
}

async function socketsOf(path: string): Promise<string[]> {
  if (!path.includes('*')) return [path]
  const folder = dirname(path)
  const parts = basename(path)
    .split('*')
    .map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
  const fits = new RegExp(`^${parts.join('.*')}$`)
  const names = await readdir(folder).catch(() => [])
  return names.filter((name) => fits.test(name)).sort().map((name) => join(folder, name)) // prettier-ignore
}

async function exchange(
  address: string,
  token: string | undefined,
  method: string,
  path: string,
  signal: AbortSignal,
  body?: object,
): Promise<unknown> {
  const isUrl = address.startsWith('http://')
  const ask = (bounded: AbortSignal) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const fail = (error: Error): void => reject(signal.aborted ? (signal.reason as Error) : silenceOf(error))
      const sent = request(isUrl ? address + path : `http://localhost${path}`, {
        ...(isUrl ? {} : { socketPath: address }),
        ...{ method, agent: false, signal: bounded },
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      })
      sent.on('error', fail)
      sent.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('error', fail)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.on('data', (chunk: string) => {
          text += chunk
          if (text.length > 4 * LONGEST_BODY) sent.destroy(new Error('its answer is too long'))
        })
      })
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  const { status, text } = await within(ANSWER_MS, ask, signal)
  const answer = parse(text)
  if (status === 200 && answer) return answer
  const { error, message } = (answer ?? {}) as Partial<Refusal>
  if (error === 'token') throw new SilentError('denied', 'the token is not that of the application')
  if (error === undefined) throw new SilentError('stranger', `what answers there is no application of ours (${status})`)
  throw new SaidNoError(error, message ?? error)
}

function parse(text: string): object | undefined {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function silenceOf(error: Error): SilentError {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTSOCK')
    return new SilentError('refused', 'nothing listens there', error)
  if (code === 'EACCES' || code === 'EPERM')
    return new SilentError(
      'denied',
      'the socket is another user’s: run as that user, or let the application use http',
      error,
    )
  if (error.name === 'TimeoutError' || error.name === 'AbortError')
    return new SilentError('silent', `no answer within ${ANSWER_MS} ms`, error)
  return new SilentError('silent', error.message || code, error)
}
