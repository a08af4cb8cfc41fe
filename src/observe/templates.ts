/** A notification in the form that a receiver wants: our own JSON, Slack's incoming webhooks, PagerDuty's Events v2. */
import { counted } from '../core/counted.ts'
import type { Notification, WebhookSink } from '../core/notify.ts'

export function bodyOf(notification: Notification, sink: WebhookSink): string {
  switch (sink.template) {
    case 'json':
      return JSON.stringify(notification)
    case 'slack':
      return JSON.stringify(slack(notification))
    case 'pagerduty':
      return JSON.stringify(pagerDuty(notification, sink.routing_key ?? ''))
  }
}

const SIGNS = { critical: ':rotating_light:', error: ':x:', warning: ':warning:', info: ':information_source:' }
/** Slack refuses a block with more than 3,000 characters, and a header with more than 150. */
const LONGEST_TEXT = 2_900
const LONGEST_HEADER = 150

function slack(n: Notification): object {
  const where = [
    ...(n.endpoint === undefined ? [] : [n.endpoint]),
    ...(n.run === undefined ? [] : [`run ${n.run}`]),
    `chaos on ${n.host}`,
    n.at,
    ...(n.count === undefined ? [] : [`${counted(n.count, 'time')} since it was last told`]),
  ]
  return {
    // What notifications on a phone and old clients show.
    text: `${SIGNS[n.severity]} ${escaped(n.title)}`,
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: n.title.slice(0, LONGEST_HEADER) } },
      { type: 'section', text: { type: 'mrkdwn', text: escaped(n.text).slice(0, LONGEST_TEXT) || ' ' } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: escaped(where.join(' · ')).slice(0, LONGEST_TEXT) }] },
    ],
  }
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** PagerDuty cuts a summary at 1,024 characters, and refuses a key with more than 255. */
const LONGEST_SUMMARY = 1_000
const LONGEST_KEY = 255

function pagerDuty(n: Notification, routingKey: string): object {
  const about = n.run ?? n.experiment ?? n.kind
  const key = { routing_key: routingKey, dedup_key: `chaos/${n.install ?? n.host}/${about}`.slice(0, LONGEST_KEY) }
  if (n.kind === 'recovered') return { ...key, event_action: 'resolve' }
  return {
    ...key,
    event_action: 'trigger',
    payload: {
      summary: n.title.slice(0, LONGEST_SUMMARY),
      source: n.endpoint ?? n.host,
      severity: n.severity,
      timestamp: n.at,
      component: n.experiment ?? 'chaos',
      class: n.kind,
      custom_details: n,
    },
  }
}
