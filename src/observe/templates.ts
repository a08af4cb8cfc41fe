/** A notification in the form that a receiver wants: our own JSON, Slack's incoming webhooks, PagerDuty's Events v2. */
import { counted } from '../core/counted.ts'
import { cutTo } from '../core/foreign.ts'
import type { Notification, WebhookSink } from '../core/notify.ts'
import { toldAs } from './message.ts'

export function bodyOf(given: Notification, sink: WebhookSink): string {
  const notification = toldAs(given)
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
/** Slack refuses a block with more than 3,000 characters, a context with more than 2,000, and a header with more than 150. */
const LONGEST_TEXT = 2_900
const LONGEST_CONTEXT = 1_900
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
    // What notifications on a phone and old clients show. Nothing in it is markup, a mention or a page to be fetched.
    text: `${SIGNS[n.severity]} ${escaped(n.title, LONGEST_TEXT)}`,
    ...{ mrkdwn: false, parse: 'none', link_names: false, unfurl_links: false, unfurl_media: false },
    blocks: [
      { type: 'header', text: plainText(n.title, LONGEST_HEADER) },
      { type: 'section', text: plainText(n.text || ' ', LONGEST_TEXT) },
      { type: 'context', elements: [plainText(where.join(' · '), LONGEST_CONTEXT)] },
    ],
  }
}

function plainText(text: string, most: number): object {
  return { type: 'plain_text', text: escaped(text, most), emoji: false }
}

const ENTITIES: Record<string, string | undefined> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Slack's own characters as entities, at most `most` characters with them; none is cut in two. */
function escaped(text: string, most: number): string {
  let done = ''
  for (const character of text) {
    const next = ENTITIES[character] ?? character
    if (done.length + next.length >= most) return `${done}…`
    done += next
  }
  return done
}

/** PagerDuty cuts a summary at 1,024 characters, and refuses a key with more than 255. */
const LONGEST_SUMMARY = 1_000
const LONGEST_KEY = 255

function pagerDuty(n: Notification, routingKey: string): object {
  const about = n.run ?? n.experiment ?? n.kind
  const key = { routing_key: routingKey, dedup_key: cutTo(`chaos/${n.install ?? n.host}/${about}`, LONGEST_KEY) }
  if (n.kind === 'recovered') return { ...key, event_action: 'resolve' }
  return {
    ...key,
    event_action: 'trigger',
    payload: {
      summary: cutTo(n.title, LONGEST_SUMMARY),
      source: cutTo(n.endpoint ?? n.host, LONGEST_SUMMARY),
      severity: n.severity,
      timestamp: n.at,
      component: cutTo(n.experiment ?? 'chaos', LONGEST_SUMMARY),
      class: n.kind,
      custom_details: n,
    },
  }
}
