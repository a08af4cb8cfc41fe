/** One application as skills see it: its instances, each asked over its socket or address, and what became of one that is silent. */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ZodType } from 'zod'
import { bounded } from '../../core/foreign.ts'
import { firstIssue } from '../../core/target.ts'
import { within } from '../../core/within.ts'
import { LONGEST_BODY, PROTOCOL } from '../../faults/connect/protocol.ts'
import type { EndAll, Grant, Keyed, Marked } from '../../faults/connect/protocol.ts'
import * as answers from './answers.ts'
import type { CheckedHello, CheckedLease } from './answers.ts'
import { fits, partsOf, written } from './addresses.ts'
import { addressesIn } from './config.ts'
import type { ApplicationConfig } from './config.ts'

/** How long one answer may take, from its request to its last byte. */
const ANSWER_MS = 2_000
/** Bytes of one answer. */
const LONGEST_ANSWER = 4 * LONGEST_BODY

/** An instance that answers. */
export interface Instance {
  /** The path of its socket, or its URL. */
  address: string
  hello: CheckedHello
}

/**
 * Why an address gives no answer. `refused`: nothing listens there, so whatever listened has ended its faults. `denied`: the
 * token or the socket's owner is another. `stranger`: another application. `silent`: it is there, or may be. `garbled`: it is
 * there, and what it answers has not the form that it should have.
 */
export interface Silence {
  address: string
  why: 'refused' | 'denied' | 'stranger' | 'silent' | 'garbled'
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
  /** Where there is an instance, or something that does not answer as one; where nothing listens there is none. */
  addresses(signal: AbortSignal): Promise<string[]>
  grant(address: string, grant: Grant, signal: AbortSignal): Promise<Marked>
  renew(address: string, lease: Keyed, signal: AbortSignal): Promise<Marked>
  end(address: string, what: Keyed | EndAll, signal: AbortSignal): Promise<{ ended: string[] }>
  leases(address: string, signal: AbortSignal): Promise<CheckedLease[]>
}

/** No answer at all. */
class SilentError extends Error {
  readonly why: Silence['why']
  constructor(why: Silence['why'], message: string, cause?: unknown) {
    super(message, { cause })
    this.why = why
  }
}

/** The application has answered, and said no. */
export class SaidNoError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export function applicationClient(config: ApplicationConfig): AppClient {
  const ask = async <T>(
    [method, path]: ['GET' | 'POST', string],
    shape: ZodType<T>,
    address: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<T> => checked(await exchange(address, config.token, method, `/v${PROTOCOL}/${path}`, signal, body), shape)
  /** Its reason names the application: what asks it does not say whom it asked. */
  const named: typeof ask = async (what, shape, address, signal, body) => {
    try {
      return await ask(what, shape, address, signal, body)
    } catch (error) {
      if (!(error instanceof SilentError)) throw error
      throw new SilentError(error.why, `${config.app} at ${address}: ${error.message}`, error.cause)
    }
  }
  const client: AppClient = {
    app: config.app,
    async addresses(signal) {
      const { instances, silences } = await client.look(signal)
      const there = silences.filter(({ why }) => why !== 'refused')
      return [...instances, ...there].map(({ address }) => address).sort()
    },
    async look(signal) {
      const seen: Seen = { instances: [], silences: [] }
      const one = async (address: string): Promise<void> => {
        try {
          const hello = await ask(['GET', 'hello'], answers.hello, address, signal)
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
    grant: (address, grant, signal) => named(['POST', 'leases'], answers.marked, address, signal, grant),
    renew: (address, { mark, key }, signal) => named(['POST', 'renew'], answers.marked, address, signal, { mark, key }),
    end: (address, what, signal) => named(['POST', 'end'], answers.ended, address, signal, what),
    leases: async (address, signal) => (await named(['GET', 'leases'], answers.leases, address, signal)).leases,
  }
  return client
}

/** Every address now; a folder that is not there has none. */
async function addressesOf(config: ApplicationConfig): Promise<string[]> {
  if (config.at !== undefined && config.except === undefined) return [config.at]
  const all = addressesIn(config).map(async (one) => ('url' in one ? [written(one.url)] : socketsOf(one.socket)))
  return [...new Set((await Promise.all(all)).flat())].filter((address) => config.except?.includes(address) !== true)
}

async function socketsOf(path: string): Promise<string[]> {
  if (!path.includes('*')) return [path]
  const folder = dirname(path)
  const parts = partsOf(path)
  const names = await readdir(folder).catch(() => [])
  return names.filter((name) => fits(name, parts)).sort().map((name) => join(folder, name)) // prettier-ignore
}

/** The answer of an application of ours; throws what it refuses, and that it is none. */
async function exchange(
  address: string,
  token: string | undefined,
  method: string,
  path: string,
  signal: AbortSignal,
  body?: object,
): Promise<object> {
  const isUrl = address.startsWith('http://')
  const ask = (limited: AbortSignal) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const fail = (error: Error): void => reject(signal.aborted ? (signal.reason as Error) : silenceOf(error))
      // Loaded with the first request: who only reads a configuration sends none.
      const { request } = process.getBuiltinModule('node:http')
      const sent = request(isUrl ? address + path : `http://localhost${path}`, {
        ...(isUrl ? {} : { socketPath: address }),
        ...{ method, agent: false, signal: limited },
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      })
      sent.on('error', fail)
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('error', fail)
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        )
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          chunks.push(chunk)
          if (bytes > LONGEST_ANSWER) {
            fail(new SilentError('garbled', `its answer has more than ${LONGEST_ANSWER} bytes`))
            sent.destroy()
          }
        })
      })
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  const { status, text } = await within(ANSWER_MS, ask, signal)
  const answer = parse(text)
  if (status === 200 && answer) return answer
  if (answer === undefined || !('error' in answer))
    throw new SilentError('stranger', `what answers there is no application of ours (${status})`)
  const { error, message } = checked(answer, answers.refusal)
  if (error === 'token') throw new SilentError('denied', 'the token is not that of the application')
  throw new SaidNoError(error, message ?? error)
}

/** Where it does not even say its name, it is no application of ours. */
function checked<T>(answer: object, shape: ZodType<T>): T {
  const parsed = shape.safeParse(answer)
  if (parsed.success) return parsed.data
  if (parsed.error.issues.some(({ path }) => path.length === 1 && path[0] === 'app'))
    throw new SilentError('stranger', 'what answers there is no application of ours')
  throw new SilentError('garbled', `its answer has not the form of the protocol: ${firstIssue(parsed.error)}`)
}

function parse(text: string): object | undefined {
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function silenceOf(error: Error): SilentError {
  if (error instanceof SilentError) return error
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
  return new SilentError('silent', bounded(error.message || code), error)
}
