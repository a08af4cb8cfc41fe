/** `wrapFetch(fetch)`: faults in HTTP calls, and through it in every SDK that takes a fetch. */
import { signalIn } from '../call.ts'
import { application } from '../enable.ts'
import { ChaosTimeoutError, InjectedFaultError } from '../errors.ts'
import { RESET } from '../socket.ts'
import { insideResponse } from './inside-response.ts'
import { sitesOf } from './options.ts'
import type { AdapterOptions } from './options.ts'
import { answerOf, isNetworkError, retryAfterOf, statusOf, textOf } from './refusal.ts'

export interface WrapFetchOptions extends AdapterOptions {
  /** Name of the component, or how it comes from the address; default the host, e.g. `api.openai.com`. */
  component?: string | ((url: URL) => string)
  /** Errors as a network that fails (`TypeError: fetch failed`) rather than as an answer with a status. */
  networkError?: boolean
}

/** Whatever takes what fetch takes. */
export type FetchLike = (input: never, init?: never) => Promise<Response>

/** The same signature. Nothing is loaded and nothing else changes: the wrapped fetch does the work. */
export function wrapFetch<F extends FetchLike>(fetch: F, options: WrapFetchOptions = {}): F {
  const { component = (url: URL) => url.host, networkError = false } = options
  const site = sitesOf(options)
  // Known before its first call, so that an experiment or a run finds it.
  if (typeof component === 'string') site(component)
  else (options.chaos ?? application).openEnded = true
  const bare = fetch as unknown as (input: unknown, init?: unknown) => Promise<Response>
  const wrapped = async (input: unknown, init?: unknown): Promise<Response> => {
    const name = typeof component === 'string' ? component : component(urlOf(input))
    try {
      return await site(name).call(() => bare(input, init), signalIn([init, input]), insideResponse, [input, init])
    } catch (error) {
      if (!(error instanceof InjectedFaultError)) throw error
      // A peer that never answers has no status either.
      if (networkError || isNetworkError(error) || error instanceof ChaosTimeoutError) {
        // Retry code looks at the code of the cause, and a socket's error always has one.
        if (!('code' in error)) Object.assign(error, { code: RESET, syscall: 'read' })
        throw new TypeError('fetch failed', { cause: error })
      }
      return refusal(error)
    }
  }
  return wrapped as unknown as F
}

function urlOf(input: unknown): URL {
  const text = typeof input === 'object' && input !== null && 'url' in input ? input.url : input
  try {
    return new URL(String(text))
  } catch {
    // Relative, as browsers allow.
    return new URL(String(text), 'http://localhost')
  }
}

/** In the form that the large APIs use, so that their SDKs read it. */
function refusal(error: InjectedFaultError): Response {
  const code = statusOf(error)
  const status = code >= 200 && code <= 599 ? code : 500
  const retry = retryAfterOf(error)
  const body = answerOf(error) ?? {
    type: 'error',
    error: { type: error.fault_type, message: textOf(error), code: String(code) },
  }
  return new Response([204, 205, 304].includes(status) ? null : JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...(retry === undefined ? {} : { 'retry-after': String(retry) }) },
  })
}
