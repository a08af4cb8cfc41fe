/** MCP: the tools that a client calls, and the handlers of a server's tools. Nothing of an SDK is loaded. */
import { signalIn } from '../call.ts'
import { application } from '../enable.ts'
import { InjectedFaultError } from '../errors.ts'
import { readToolFault } from '../fault.ts'
import { asSdkError, CallLimit, INTERNAL_ERROR, REQUEST_TIMEOUT } from './mcp-limits.ts'
import { sitesOf } from './options.ts'
import type { AdapterOptions } from './options.ts'
import { errorResult, insideToolResult } from './tool-result.ts'

export interface WrapMcpOptions extends AdapterOptions {
  /** Injected errors are thrown, rather than results with `isError` as a tool reports its own. */
  throwErrors?: boolean
}

interface ToolCaller {
  callTool(params: { name: string }, ...more: never[]): Promise<unknown>
}

/** The same client, whose callTool meets the faults; components are the names of the tools. */
export function wrapMcpClient<C extends ToolCaller>(client: C, options: WrapMcpOptions = {}): C {
  const call = caller(options)
  const bare = client.callTool.bind(client) as (...args: readonly unknown[]) => Promise<unknown>
  type Ask = (more: readonly unknown[]) => unknown
  const limited = async (tool: string, ask: Ask, params: unknown, more: readonly unknown[]): Promise<unknown> => {
    const limit = new CallLimit(more, signalIn(more))
    try {
      return await call(tool, () => ask(limit.handOver(more)), [params, ...more], limit.signal)
    } finally {
      limit.end()
    }
  }
  const callTool = (params: { name: string }, ...more: unknown[]): Promise<unknown> =>
    limited(params.name, (rest) => bare(params, ...rest), params, more)
  /** The same request said by its method. */
  const request = (asked: { method?: unknown; params?: { name?: unknown } }, ...more: unknown[]): unknown => {
    const plain = (client as unknown as { request: (...args: unknown[]) => unknown }).request.bind(client)
    const tool = asked.method === 'tools/call' ? asked.params?.name : undefined
    if (typeof tool !== 'string') return plain(asked, ...more)
    return limited(tool, (rest) => plain(asked, ...rest), asked.params, more)
  }
  return new Proxy(client, {
    get(target, property) {
      if (property === 'callTool') return callTool
      if (property === 'request' && 'request' in target) return request
      const value: unknown = Reflect.get(target, property, target)
      // Its own private fields are found on itself only.
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
    set: (target, property, value) => Reflect.set(target, property, value, target),
  })
}

/** The handler of one tool: `server.registerTool(name, config, wrapMcpTool(name, handler))`. */
export function wrapMcpTool<A extends readonly unknown[], R>(
  name: string,
  handler: (...args: A) => R,
  options: WrapMcpOptions = {},
): (...args: A) => Promise<Awaited<R>> {
  const call = caller(options, name)
  return (...args) => call(name, () => handler(...args), args) as Promise<Awaited<R>>
}

/** Several handlers by the names of their tools. */
export function wrapMcpTools<T extends Record<string, (...args: never[]) => unknown>>(
  handlers: T,
  options: WrapMcpOptions = {},
): { [K in keyof T]: (...args: Parameters<T[K]>) => Promise<Awaited<ReturnType<T[K]>>> } {
  const wrapped = Object.entries(handlers).map(([name, handler]) => [name, wrapMcpTool(name, handler, options)])
  return Object.fromEntries(wrapped) as never
}

/** `known`: the name of the one tool, which is there before its first call. */
function caller(options: WrapMcpOptions, known?: string) {
  const site = sitesOf(options, readToolFault)
  if (known === undefined) (options.chaos ?? application).openEnded = true
  else site(known)
  return async (
    tool: string,
    call: () => unknown,
    args: readonly unknown[],
    signal = signalOf(args),
  ): Promise<unknown> => {
    try {
      return await site(tool).call(call, signal, insideToolResult, args)
    } catch (error) {
      if (error instanceof InjectedFaultError && options.throwErrors !== true) return errorResult(error)
      if (!(error instanceof InjectedFaultError)) throw error
      throw asSdkError(error, error.fault_type === 'timeout' ? REQUEST_TIMEOUT : INTERNAL_ERROR)
    }
  }
}

/** Handlers get it beside other things: `extra.signal`, or `context.mcpReq.signal` in later SDKs. */
function signalOf(args: readonly unknown[]): AbortSignal | undefined {
  const inner = args.flatMap((arg) => (typeof arg === 'object' && arg !== null && 'mcpReq' in arg ? [arg.mcpReq] : []))
  return signalIn([...args, ...inner])
}
