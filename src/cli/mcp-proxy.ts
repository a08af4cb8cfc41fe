/** `chaos mcp-proxy -- COMMAND`: faults between any MCP client and any MCP server. stdin and stdout belong to the protocol. */
import { loadChaosExperiment } from '../config/chaos-experiment.ts'
import { messageOf } from '../core/errors.ts'
import type { FaultConfig } from '../faults/index.ts'
import { openFiredLog } from '../mcp/fired-log.ts'
import type { FiredLog } from '../mcp/fired-log.ts'
import { ServerProcess } from '../mcp/server-process.ts'
import { proxyStdio } from '../mcp/stdio-proxy.ts'
import { ToolFaults } from '../mcp/tool-faults.ts'
import type { ToolFaultsOptions } from '../mcp/tool-faults.ts'
import type { Context } from './context.ts'
import { readFaultOption } from './fault-option.ts'
import { usageError } from './usage.ts'

export interface McpProxyOptions {
  config?: string
  fault: readonly string[]
  tool: readonly string[]
  seed?: string
  protocolError?: boolean
  log?: string
  maxMessageBytes: string
}

export async function mcpProxy(context: Context, argv: readonly string[], options: McpProxyOptions): Promise<number> {
  const [command, ...args] = argv
  if (command === undefined)
    throw usageError('mcp-proxy', 'needs the command of an MCP server after --: `chaos mcp-proxy -- npx my-server`')
  const say = (text: string): void => context.err(`chaos mcp-proxy: ${text}\n`)
  const most = mostBytes(options.maxMessageBytes)
  const settings = await readSettings(context, options)
  const log = await openLog(options.log, say)
  const faults = new ToolFaults({ ...settings, ...(log && { fired: (fired) => log.fired(fired) }) })
  const signals = stopSignals()
  try {
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
  }
}

async function readSettings(context: Context, options: McpProxyOptions): Promise<ToolFaultsOptions> {
  const { config, seed, tool } = options
  const file = config === undefined ? undefined : await loadChaosExperiment(config, context.env)
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

async function openLog(file: string | undefined, say: (text: string) => void): Promise<FiredLog | undefined> {
  if (file === undefined) return undefined
  try {
    return await openFiredLog(file, say)
  } catch (error) {
    throw usageError('--log', `cannot be written: ${messageOf(error)}`)
  }
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
