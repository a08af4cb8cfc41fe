/** Notifications: their kinds, their content, and their receivers. */
import type { Digest } from './digest.ts'

export const NOTIFICATION_KINDS = [
  'residue', // something is still changed on a target
  'failed', // a run failed or was refused; what it changed is undone
  'ineffective', // a run in which nothing took effect
  'blocked', // a run that had to wait for an earlier one to be undone
  'skipped', // a due time that did not become a run
  'recovered', // what a crash or an unreachable target had left is undone
  'digest',
  'reload_failed',
  'frozen',
] as const

export type NotificationKind = (typeof NOTIFICATION_KINDS)[number]

export type Severity = 'critical' | 'error' | 'warning' | 'info'

/** One thing to tell, as the JSON that a command or a webhook gets. Has no secrets and no values of customers. */
export interface Notification {
  /** Of this format. */
  format: 1
  /** The same over all attempts, so that a receiver can tell a repetition. */
  id: string
  kind: NotificationKind
  severity: Severity
  /** One line. */
  title: string
  /** What happened, and what is being done or to do. */
  text: string
  experiment?: string
  /** The run it is about: of `blocked` the one that is in the way. */
  run?: string
  endpoint?: string
  /** ISO 8601, UTC: when it happened, not when it was delivered. */
  at: string
  host: string
  /** The installation's name; the first part of every mark. */
  install?: string
  /** How often the same happened since its last notification, this time included; absent the first time. */
  count?: number
  digest?: Digest
}

/** Says where it goes, without the path: a webhook's path is often its password. */
export function placeOf(sink: NotifySink): string {
  return 'command' in sink ? `command ${sink.command[0] ?? ''}` : `webhook ${new URL(sink.webhook).origin}`
}

export const TEMPLATES = ['json', 'slack', 'pagerduty'] as const

/** An entry of `settings.notify`. */
export type NotifySink = CommandSink | WebhookSink

export interface CommandSink {
  on: readonly NotificationKind[]
  /** argv; the notification is its stdin. */
  command: readonly string[]
}

export interface WebhookSink {
  on: readonly NotificationKind[]
  /** May hold a secret in its path. */
  webhook: string
  template: (typeof TEMPLATES)[number]
  /** Key of the signature. */
  secret?: string
  /** Of PagerDuty. */
  routing_key?: string
  headers: Readonly<Record<string, string>>
}
