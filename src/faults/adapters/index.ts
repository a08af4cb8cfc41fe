/** Faults in what agents really call: HTTP, MCP, the AI SDK. Loading it loads no package; types are structural. */
export { wrapFetch } from './fetch.ts'
export type { FetchLike, WrapFetchOptions } from './fetch.ts'
export { wrapMcpClient, wrapMcpTool, wrapMcpTools } from './mcp.ts'
export type { WrapMcpOptions } from './mcp.ts'
export { chaosMiddleware, wrapTools } from './ai-sdk.ts'
export type { ChaosMiddleware, MiddlewareOptions } from './ai-sdk.ts'
export type { AdapterOptions } from './options.ts'
