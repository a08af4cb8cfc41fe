/** `chaos mcp-proxy -- COMMAND`: faults between any MCP client and any MCP server. stdin and stdout belong to the protocol. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loadChaosExperiment } from '../../config/chaos-experiment.ts'
import { interpolate } from '../../config/interpolate.ts'
import { oneLine } from '../../core/foreign.ts'
import { messageOf } from '../../core/errors.ts'
import { isLoopback } from '../../core/loopback.ts'
import type { FaultConfig } from '../../faults/index.ts'
import { uselessForTools } from '../../faults/fields.ts'
import { openFiredLog } from '../../mcp/fired-log.ts'
import type { FiredLog } from '../../mcp/fired-log.ts'
import { SHORTEST_TOKEN } from '../../faults/connect/protocol.ts'
import { httpProxy } from '../../mcp/http-proxy.ts'
import { ServerProcess } from '../../mcp/server-process.ts'
import { proxyStdio } from '../../mcp/stdio-proxy.ts'
import { ToolFaults } from '../../mcp/tool-faults.ts'
import type { ToolFaultsOptions } from '../../mcp/tool-faults.ts'
import type { Context } from '../context.ts'
import { readFaultOption } from './fault-option.ts'
import { usageError } from '../usage.ts'

export interface McpProxyOptions {
  config?: string
  fault: readonly string[]
  tool: readonly string[]
  seed?: string
  protocolError?: boolean
  log?: string
  http?: string
  listen: string
  allowHost?: readonly string[]
  allowOrigin?: readonly string[]
  header?: readonly string[]
  maxMessageBytes: string
}

export async function mcpProxy(context: Context, argv: readonly string[], options: McpProxyOptions): Promise<number> {
  const [command, ...args] = argv
  if (command !== undefined && options.http !== undefined)
    throw usageError('mcp-proxy', 'got --http and a command: name only one of them')
  const upstream = options.http === undefined ? undefined : readUrl(options.http)
  if (command === undefined && upstream === undefined)
    throw usageError('mcp-proxy', 'needs the command of an MCP server after --: `chaos mcp-proxy -- npx my-server`')
  const say = (text: string): void => context.err(`chaos mcp-proxy: ${oneLine(text)}\n`)
  const most = mostBytes(options.maxMessageBytes)
  const headers = readHeaders(options.header ?? [], context.env, say)
  const settings = await readSettings(context, options)
  const listening = readListen(options.listen, context.env['CHAOS_MCP_TOKEN'])
  const log = openLog(options.log, say)
  const warn = (text: string): void => say(`warning: ${text}`)
  const faults = new ToolFaults({ ...settings, warn, ...(log && { fired: (fired) => log.fired(fired) }) })
  const signals = stopSignals()
  try {
    if (command === undefined) {
      if (upstream === undefined) return 0
      say(startText(settings, faults.seed))
      log?.started(faults.seed)
      const { host, port, token } = listening
      const gate = { host, hosts: options.allowHost ?? [], origins: options.allowOrigin ?? [], token }
      const server = httpProxy({ upstream, faults, mostMessageBytes: most, gate, headers })
      return await serve(server, { host, port }, upstream, signals.stop, say)
    }
    const server = await start(command, args, context.env)
    say(startText(settings, faults.seed))
    log?.started(faults.seed)
    return await proxyStdio({
      server,
      client: { input: process.stdin, output: process.stdout },
      faults,
      mostMessageBytes: most,
      stop: signals.stop,
      say,
    })
  } finally {
    signals.dispose()
    faults.end()
    await log?.end()
    if (signals.stop.aborted) leaveUnread()
  }
}

/** A client that does not read would keep a process that was told to end: then it ends as one without a handler does. */
function leaveUnread(): void {
  if (process.stdout.writableLength > 0) process.kill(process.pid, 'SIGTERM')
}

async function readSettings(context: Context, options: McpProxyOptions): Promise<ToolFaultsOptions> {
  const { config, seed, tool } = options
  const file = config === undefined ? undefined : await loadChaosExperiment(config, context.env, uselessForTools)
  const own: FaultConfig[] = options.fault.map(readFaultOption)
  // The schema leaves a field that is not there undefined; the library wants it absent.
  const ofFile = JSON.parse(JSON.stringify(file?.faults ?? [])) as FaultConfig[]
  return {
    faults: [...ofFile, ...own],
    tools: tool.length > 0 ? tool : (file?.target_components ?? []),
    seed: seed ?? file?.seed,
    duration_ms: file?.duration_seconds === undefined ? undefined : file.duration_seconds * 1000,
    protocolError: options.protocolError === true,
  }
}

function startText({ faults, tools = [] }: ToolFaultsOptions, seed: string | number): string {
  if (faults.length === 0) return 'no faults: everything passes (add --fault or --config)'
  const where = tools.length > 0 ? tools.join(', ') : 'every tool'
  return `${faults.map((fault) => fault.fault_type).join(', ')} in calls of ${where}, seed ${seed}`
}

async function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ServerProcess> {
  try {
    return await ServerProcess.start(command, args, env)
  } catch (error) {
    throw usageError('mcp-proxy', `cannot start ${JSON.stringify(command)}: ${messageOf(error)}`)
  }
}

function openLog(file: string | undefined, say: (text: string) => void): FiredLog | undefined {
  if (file === undefined) return undefined
  try {
    return openFiredLog(file, say)
  } catch (error) {
    throw usageError('--log', `cannot be written: ${messageOf(error)}`)
  }
}

/** Until a signal comes. */
async function serve(
  server: Server,
  { host, port }: { host: string; port: number },
  upstream: URL,
  stop: AbortSignal,
  say: (text: string) => void,
): Promise<number> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw usageError('--listen', messageOf(error))
  }
  const { port: bound } = server.address() as AddressInfo
  say(`listening on http://${host.includes(':') ? `[${host}]` : host}:${bound}${upstream.pathname}`)
  if (!stop.aborted) await once(stop, 'abort')
  server.close()
  server.closeAllConnections()
  return 0
}

/** Whoever is not on this machine needs the token; also this machine, where there is one. */
function readListen(listen: string, given: string | undefined): { host: string; port: number; token?: string } {
  const [, written, port] = /^(.+):(\d+)$/.exec(listen) ?? []
  if (written === undefined) throw usageError('--listen', `needs HOST:PORT, got ${JSON.stringify(listen)}`)
  const host = written.replace(/^\[(.*)\]$/, '$1')
  const token = given === '' ? undefined : given
  if (token !== undefined && token.length < SHORTEST_TOKEN)
    throw usageError('CHAOS_MCP_TOKEN', `has fewer than ${SHORTEST_TOKEN} characters`)
  if (token === undefined && !isLoopback(host))
    throw usageError(
      '--listen',
      `${host} is reached by other machines: set CHAOS_MCP_TOKEN, which clients then send as "Authorization: Bearer <token>" or "X-Chaos-Token: <token>"`,
    )
  return { host, port: Number(port), ...(token === undefined ? {} : { token }) }
}

/** Headers that carry a secret, by their names. */
const SECRET_HEADER = /authorization|cookie|token|key|secret|password/i

/** `Name: value`; a value of the environment or a file stands in no list of processes. */
function readHeaders(
  given: readonly string[],
  env: NodeJS.ProcessEnv,
  say: (text: string) => void,
): Record<string, string> {
  return Object.fromEntries(
    given.map((header) => {
      const [, name, written] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?(.*)$/.exec(header) ?? []
      if (name === undefined || written === undefined)
        throw usageError('--header', "needs NAME: VALUE, e.g. 'Authorization: Bearer ${TOKEN}'")
      const { text: value, problems, filled } = interpolate(written, { env, folder: process.cwd() })
      const [problem = filled.find((one) => one.value === '')?.expression.concat(' is empty')] = problems
      if (problem !== undefined) throw usageError('--header', `${name}: ${problem}`)
      if (filled.length === 0 && SECRET_HEADER.test(name))
        say(
          `warning: the list of processes shows ${name} to everybody on this machine: write its value as \${VARIABLE} or \${file:/path}`,
        )
      if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
        throw usageError('--header', `${name} has characters that no header has`)
      return [name, value]
    }),
  )
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && `${url.username}${url.password}` !== '')
    throw usageError(
      '--http',
      "has a user or a password in it, which everybody on this machine can read: leave them out, and write --header 'Authorization: Basic ${BASIC}'",
    )
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw usageError(
    '--http',
    `needs the URL of an MCP server${text.includes('@') ? '' : `, got ${JSON.stringify(text)}`}`,
  )
}

/** The first signal ends the server in order; whoever sends one is not waiting long. */
function stopSignals(): { stop: AbortSignal; dispose(): void } {
  const controller = new AbortController()
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const handle = (): void => controller.abort()
  for (const name of names) process.on(name, handle)
  return {
    stop: controller.signal,
    dispose() {
      for (const name of names) process.off(name, handle)
    },
  }
}

function mostBytes(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1024 && value <= 2 ** 30) return value
  throw usageError('--max-message-bytes', `needs a whole number from 1024 to ${2 ** 30}, got ${JSON.stringify(text)}`)
}
