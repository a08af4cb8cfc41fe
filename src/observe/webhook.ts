/** One POST to a webhook: signed, bounded in time, following no redirect. */
import { createHmac } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { WebhookSink } from '../core/notify.ts'
import { within } from '../core/within.ts'
import type { Attempt, Deliver } from './delivery.ts'
import { bodyOf } from './templates.ts'

const TIMEOUT_MS = 10_000
/** Of the statuses that blame the sender, those that say "later". */
const LATER = [408, 425, 429]

export function webhook(sink: WebhookSink, version: string, clock: Clock): Deliver {
  return async (notification, signal) => {
    const body = bodyOf(notification, sink)
    const headers = {
      'user-agent': `chaos-agents/${version}`,
      ...sink.headers,
      'content-type': 'application/json',
      'x-chaos-delivery': notification.id,
      ...signature(sink.secret, body, clock.now()),
    }
    const post = async (soon: AbortSignal): Promise<Attempt> => {
      const response = await fetch(sink.webhook, { method: 'POST', body, headers, redirect: 'manual', signal: soon })
      // Nobody reads what it says; a body without an end must not keep its connection.
      await response.body?.cancel().catch(() => undefined)
      return attemptOf(response, clock.now())
    }
    try {
      return await within({ ms: TIMEOUT_MS, clock, why: `no answer in ${TIMEOUT_MS / 1_000} s` }, post, signal)
    } catch (error) {
      return { delivered: false, final: false, reason: messageOf(error) }
    }
  }
}

/** The time is part of what is signed, so that an old message cannot be sent again. */
function signature(secret: string | undefined, body: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1_000))
  if (secret === undefined) return { 'x-chaos-timestamp': timestamp }
  const hex = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  return { 'x-chaos-timestamp': timestamp, 'x-chaos-signature': `sha256=${hex}` }
}

function attemptOf({ status, ok, headers }: Response, now: number): Attempt {
  if (ok) return { delivered: true }
  if (status >= 300 && status < 400)
    return { delivered: false, final: true, reason: `it answers ${status}, and redirects are not followed` }
  const final = status < 500 && !LATER.includes(status)
  const retryAfterMs = retryAfter(headers.get('retry-after'), now)
  return {
    delivered: false,
    final,
    reason: `it answers ${status}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

/** Seconds, or a date. */
function retryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - now
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}
