/** The time limits that a client of MCP gives with a call: an injected wait ends with them, in the error that the SDKs give. */

/** What the SDKs of the protocol say when there is no answer in time. */
export const REQUEST_TIMEOUT = -32001
/** JSON-RPC: something in the server went wrong. */
export const INTERNAL_ERROR = -32603

/** The limit of a request where its options name none, milliseconds. */
const DEFAULT_MS = 60_000

interface RequestOptions {
  timeout?: number
  maxTotalTimeout?: number
}

export class CallLimit {
  readonly #ms: number
  readonly #over = new AbortController()
  readonly #begun = performance.now()
  readonly #timer: ReturnType<typeof setTimeout>
  readonly #release: () => void

  /** `more` are the arguments behind the parameters of the call. `signal`: the caller's own. */
  constructor(more: readonly unknown[], signal: AbortSignal | undefined) {
    this.#ms = limitOf(more)
    this.#timer = setTimeout(() => this.#over.abort(timedOut(this.#ms)), Math.min(this.#ms, 2 ** 31 - 1))
    const abort = (): void => this.#over.abort(signal?.reason)
    if (signal?.aborted === true) abort()
    signal?.addEventListener('abort', abort)
    this.#release = () => signal?.removeEventListener('abort', abort)
  }

  /** Ends an injected wait. */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /** The call goes to the server now: the client's own clock begins, with what is left of its time. */
  handOver(more: readonly unknown[]): readonly unknown[] {
    this.end()
    const waited = performance.now() - this.#begun
    if (waited < 1) return more
    return more.map((one) => {
      if (!isOptions(one)) return one
      const left = (ms: number): number => Math.max(1, Math.ceil(ms - waited))
      return {
        ...one,
        ...(one.timeout !== undefined && { timeout: left(one.timeout) }),
        ...(one.maxTotalTimeout !== undefined && { maxTotalTimeout: left(one.maxTotalTimeout) }),
      }
    })
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#release()
  }
}

function limitOf(more: readonly unknown[]): number {
  const named = more.filter(isOptions).flatMap(({ timeout, maxTotalTimeout }) => [timeout, maxTotalTimeout])
  const limits = named.filter((ms): ms is number => typeof ms === 'number' && ms >= 0)
  return limits.length > 0 ? Math.min(...limits) : DEFAULT_MS
}

function isOptions(value: unknown): value is RequestOptions {
  if (typeof value !== 'object' || value === null) return false
  return ['timeout', 'maxTotalTimeout'].some((name) => typeof (value as Record<string, unknown>)[name] === 'number')
}

function timedOut(ms: number): Error {
  const error = new Error(`MCP error ${REQUEST_TIMEOUT}: Request timed out`)
  error.name = 'McpError'
  return asSdkError(Object.assign(error, { data: { timeout: ms } }), REQUEST_TIMEOUT)
}

/** With the code by which callers of the SDKs tell errors apart, and the mark by which theirs know a ProtocolError. */
export function asSdkError<E extends Error>(error: E, code: number): E & { code: number } {
  Object.defineProperty(error, BRANDS, { value: new Set(['mcp.ProtocolError']), configurable: true })
  return Object.assign(error, { code })
}

const BRANDS = Symbol.for('mcp.sdk.errorBrands')
