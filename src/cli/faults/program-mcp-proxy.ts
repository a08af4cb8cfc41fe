/** The options of `chaos mcp-proxy`. */
import type { Command } from 'commander'
import type { Context } from '../context.ts'
import type { McpProxyOptions } from './mcp-proxy.ts'

interface Parts {
  context: Context
  finish(code: Promise<number>): Promise<void>
}

export function addMcpProxy(program: Command, { context, finish }: Parts): void {
  program
    .command('mcp-proxy [command...]')
    .description(
      'stand between an MCP client and an MCP server, and inject faults into calls of tools: mcp-proxy … -- npx server',
    )
    .option('--config <file>', 'the experiment: as for `run --experiment`, with names of tools as components')
    .option(
      '--fault <fault>',
      'a fault as TYPE[,field=value…], e.g. latency,duration_ms=500,probability=0.3',
      collect,
      [],
    )
    .option('--tool <name>', 'only this tool (else every tool)', collect, [])
    .option('--seed <seed>', 'repeat the choices of an earlier session')
    .option('--protocol-error', 'injected errors as JSON-RPC errors, not as results with isError')
    .option('--http <url>', 'the MCP server is there (streamable HTTP), rather than a command')
    .option('--listen <host:port>', 'with --http: where clients connect', '127.0.0.1:0')
    .option('--allow-host <name>', 'with --http: another name that clients reach it by (Host)', collect, [])
    .option('--allow-origin <origin>', 'with --http: pages that may use it, e.g. http://localhost:3000', collect, [])
    .option(
      '--header <header>',
      "with --http: sent to the server, e.g. 'Authorization: Bearer ${TOKEN}' or ${file:/path}",
      collect,
      [],
    )
    .option('--log <file>', 'append a line of JSON for each fault that has fired')
    .option('--max-message-bytes <bytes>', 'the largest message that passes', String(64 * 2 ** 20))
    .action((command: string[], options: McpProxyOptions) =>
      finish(import('./mcp-proxy.ts').then((m) => m.mcpProxy(context, command, options))),
    )
}

function collect(value: string, values: string[]): string[] {
  return [...values, value]
}
