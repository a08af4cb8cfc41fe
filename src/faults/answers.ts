/** What large APIs answer when they refuse, as their clients know it: by the name that the answer itself has. */
import type { Fault } from './fault.ts'
import type { ErrorBody, FaultConfig } from './fault-type.ts'

export interface KnownAnswer {
  status: number
  retry_after_seconds?: number
  message: string
  body(message: string): Record<string, unknown>
}

const anthropic = (type: string) => (message: string) => ({ type: 'error', error: { type, message }, request_id: null })
const openai = (type: string, code: string | null) => (message: string) => ({
  error: { message, type, param: null, code },
})

const KNOWN: Record<ErrorBody, KnownAnswer> = {
  overloaded_error: { status: 529, message: 'Overloaded', body: anthropic('overloaded_error') },
  rate_limit_error: {
    status: 429,
    retry_after_seconds: 1,
    message: 'This request would exceed the rate limit of your organization',
    body: anthropic('rate_limit_error'),
  },
  rate_limit_exceeded: {
    status: 429,
    retry_after_seconds: 1,
    message: 'Rate limit reached for requests',
    body: openai('requests', 'rate_limit_exceeded'),
  },
  insufficient_quota: {
    status: 429,
    message: 'You exceeded your current quota, please check your plan and billing details',
    body: openai('insufficient_quota', 'insufficient_quota'),
  },
  server_error: {
    status: 500,
    message: 'The server had an error while processing your request',
    body: openai('server_error', null),
  },
}

/** Undefined where the fault has no body, or one of its own. */
export function knownAnswer(body: FaultConfig['body']): KnownAnswer | undefined {
  return typeof body === 'string' ? KNOWN[body] : undefined
}

/** The body as it is sent. */
export function bodyOf({ body, error_message: message }: Pick<Fault, 'body' | 'error_message'>) {
  const known = knownAnswer(body)
  return known ? known.body(message ?? known.message) : (body as Record<string, unknown> | undefined)
}
