/** As much of JSON-RPC as the proxy must understand: calls of tools, who cancels one, and what answers what. */

/** Ids are texts or numbers, and 1 is not "1". */
export type Id = string | number

export type Message =
  | { kind: 'tool_call'; id: Id; tool: string }
  | { kind: 'request'; id: Id }
  | { kind: 'cancellation'; id: Id }
  | { kind: 'answer'; id: Id; body: Record<string, unknown> }
  /** Whatever else there is: nothing of ours. */
  | { kind: 'other' }

const OTHER = { kind: 'other' } as const

/** Never throws: what is not understood passes, also JSON-RPC batches. */
export function readMessage(text: string): Message {
  const body = parseMap(text)
  if (body === undefined) return OTHER
  const { id, method } = body
  if (method === 'notifications/cancelled') {
    const cancelled = asMap(body['params'])?.['requestId']
    return isId(cancelled) ? { kind: 'cancellation', id: cancelled } : OTHER
  }
  if (!isId(id)) return OTHER
  if (method === undefined) return 'result' in body || 'error' in body ? { kind: 'answer', id, body } : OTHER
  const tool = method === 'tools/call' ? asMap(body['params'])?.['name'] : undefined
  return typeof tool === 'string' ? { kind: 'tool_call', id, tool } : { kind: 'request', id }
}

export function errorMessage(id: Id, code: number, message: string, data?: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } })
}

function parseMap(text: string): Record<string, unknown> | undefined {
  try {
    return asMap(JSON.parse(text))
  } catch {
    return undefined
  }
}

function asMap(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

function isId(value: unknown): value is Id {
  return typeof value === 'string' || typeof value === 'number'
}
