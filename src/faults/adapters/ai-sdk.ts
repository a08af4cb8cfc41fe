/** Vercel AI SDK 6: tools, and a middleware of language models. Nothing of the SDK is loaded. */
import type { Change } from '../call.ts'
import { isPlain } from '../damage/leaves.ts'
import { application, wrap } from '../enable.ts'
import { InjectedFaultError } from '../errors.ts'
import { breaksStreams } from '../fault.ts'
import { mirrorOf } from '../mirror.ts'
import type { AnyFunction } from '../wrap.ts'
import { streamOf } from './inside-response.ts'
import { insideStream } from './inside-stream.ts'
import type { Frames } from './inside-stream.ts'
import { sitesOf } from './options.ts'
import type { AdapterOptions } from './options.ts'
import { answerOf, isNetworkError, retryAfterOf, statusOf } from './refusal.ts'
import { insideItems } from './tool-result.ts'

/** Under these names tools of agents have what they do: the AI SDK, OpenAI's agents, LangChain, and others. */
const DOING = ['execute', 'invoke', 'func', 'handler']

/** The same tools, whose `execute` or `invoke` meets the faults; components are the names of the tools. */
export function wrapTools<T extends Record<string, object> | readonly object[]>(
  tools: T,
  options: AdapterOptions = {},
): T {
  if (Array.isArray(tools))
    return tools.map((tool: object, i) => wrapTool(nameOf(tool) ?? String(i), tool, options)) as unknown as T
  const wrapped = Object.entries(tools).map(([name, tool]) => [name, wrapTool(name, tool, options)])
  return Object.fromEntries(wrapped) as T
}

function wrapTool(component: string, tool: object, options: AdapterOptions): object {
  const own = tool as Record<string, unknown>
  const name = DOING.find((one) => typeof own[one] === 'function')
  if (name === undefined) {
    ;(options.chaos ?? application).warn(
      `wrapTools: ${component} has none of ${DOING.join(', ')}: its calls meet no faults`,
    )
    return tool
  }
  const doing = own[name] as AnyFunction
  if (isPlain(tool)) return { ...tool, [name]: wrap(doing, { ...options, component }) }
  const wrapped = wrap<AnyFunction>(doing.bind(tool as never), { ...options, component, async: true })
  return mirrorOf(tool, { instead: (property) => (property === name ? wrapped : undefined) })
}

function nameOf(tool: object): string | undefined {
  return 'name' in tool && typeof tool.name === 'string' && tool.name !== '' ? tool.name : undefined
}

interface CallParams {
  abortSignal?: AbortSignal | undefined
}

/** What `wrapLanguageModel({ model, middleware })` takes. */
export interface ChaosMiddleware {
  readonly specificationVersion: 'v3'
  wrapGenerate<R>(call: { doGenerate: () => PromiseLike<R>; params: CallParams }): Promise<R>
  wrapStream<R>(call: { doStream: () => PromiseLike<R>; params: CallParams }): Promise<R>
}

export interface MiddlewareOptions extends AdapterOptions {
  /** Default `model`. */
  component?: string
}

/** Errors are seen by the SDK as those of an API: it retries the ones that it would retry. */
export function chaosMiddleware(options: MiddlewareOptions = {}): ChaosMiddleware {
  const site = sitesOf(options)(options.component ?? 'model')
  const asApiError = (error: unknown): never => {
    throw error instanceof InjectedFaultError ? apiError(error) : error
  }
  return {
    specificationVersion: 'v3',
    wrapGenerate: <R>({ doGenerate, params }: { doGenerate: () => PromiseLike<R>; params: CallParams }) =>
      site
        .call<unknown>(async () => await doGenerate(), params.abortSignal, insideGenerated, [params])
        .catch(asApiError) as Promise<R>,
    wrapStream: <R>({ doStream, params }: { doStream: () => PromiseLike<R>; params: CallParams }) =>
      site
        .call<unknown>(async () => await doStream(), params.abortSignal, insideStreamed, [params])
        .catch(asApiError) as Promise<R>,
  }
}

/** The text of the model, or the arguments with which it calls a tool. */
const FIELDS = ['text', 'input']

function insideGenerated(result: unknown, change: Change): unknown {
  if (!isPlain(result) || !Array.isArray(result['content'])) return result
  const items = result['content'] as unknown[]
  const { mode } = change.fault
  const whole = mode === 'stale' || (mode === 'drop' && items.length > 1)
  const content = whole ? change.value(items) : insideItems(items, change, FIELDS)
  return content === items ? result : { ...result, content }
}

function insideStreamed(result: unknown, change: Change): unknown {
  if (!isPlain(result) || !(result['stream'] instanceof ReadableStream)) return result
  const given = new AbortController()
  const broken: Change = { ...change, stream: (items) => change.stream(items, { signal: given.signal }) }
  const frames = breaksStreams(change.fault) ? everyDelta : deltas
  const parts = insideStream(result['stream'] as AsyncIterable<unknown>, frames, broken)
  return { ...result, stream: streamOf(parts, (part) => part, given) }
}

/** Tool calls are streamed, too: they stall and break off as texts do. */
const everyDelta: Frames<unknown> = {
  dataOf: (part) => (isPlain(part) && typeof part['delta'] === 'string' ? part['delta'] : undefined),
  withData: (part) => part,
}

const deltas: Frames<unknown> = {
  dataOf: (part) =>
    isPlain(part) && part['type'] === 'text-delta' && typeof part['delta'] === 'string' ? part['delta'] : undefined,
  withData: (part, delta) => ({ ...(part as object), delta }),
}

/** The SDK knows its own errors by these marks, so that several versions of it can be loaded. */
const MARKS = [Symbol.for('vercel.ai.error'), Symbol.for('vercel.ai.error.AI_APICallError')]

function apiError(error: InjectedFaultError): InjectedFaultError {
  const isLost = isNetworkError(error)
  const statusCode = isLost ? undefined : statusOf(error)
  const retry = retryAfterOf(error)
  const fields = {
    ...Object.fromEntries(MARKS.map((mark) => [mark, true])),
    url: '',
    requestBodyValues: {},
    statusCode,
    responseHeaders: retry === undefined ? {} : { 'retry-after': String(retry) },
    ...responseOf(error),
    isRetryable: statusCode === undefined || [408, 409, 429].includes(statusCode) || statusCode >= 500,
  }
  // Some of them are getters of the error's class, which cannot be assigned to.
  for (const name of Reflect.ownKeys(fields))
    Object.defineProperty(error, name, {
      value: Reflect.get(fields, name),
      writable: true,
      enumerable: true,
      configurable: true,
    })
  return error
}

function responseOf(error: InjectedFaultError): { responseBody?: string; data?: unknown } {
  const body = answerOf(error)
  return body === undefined ? {} : { responseBody: JSON.stringify(body), data: body }
}
