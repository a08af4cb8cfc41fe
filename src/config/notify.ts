/** `settings.notify`: a list of commands and webhooks, or a single one. */
import { z } from 'zod'
import { isLoopback } from '../core/loopback.ts'
import { NOTIFICATION_KINDS, TEMPLATES } from '../core/notify.ts'
import type { NotificationKind, NotifySink } from '../core/notify.ts'
import { check } from './check.ts'
import { showKey } from './secrecy.ts'
import type { Source } from './source.ts'
import type { Path } from './tree.ts'

/** `skipped` and `frozen` are for those who ask for them. */
const DEFAULT_ON: readonly NotificationKind[] = [
  'residue',
  'failed',
  'ineffective',
  'blocked',
  'recovered',
  'digest',
  'reload_failed',
]

/** A short key could be guessed from one message and its signature. */
const SHORTEST_SECRET = 16

const on = z.array(z.enum(NOTIFICATION_KINDS)).min(1).optional()

const commandSchema = z.strictObject({
  command: z
    .array(z.string().refine((text) => !text.includes('\0'), { error: 'must not have a NUL character in it' }))
    .min(1)
    .refine(([program]) => program?.startsWith('/') === true, {
      error: 'must begin with the whole path of a program: write e.g. ["/usr/local/bin/tell"]',
    }),
  on,
})

const webhookSchema = z.strictObject({
  webhook: z
    .string()
    .refine((text) => /^https?:$/.test(urlOf(text)?.protocol ?? ''), {
      error: 'is not a web address: write https://host/path',
      abort: true,
    })
    .refine((text) => urlOf(text)?.username === '' && urlOf(text)?.password === '', {
      error: 'must not have a user or a password in it: write headers: {Authorization: "Basic …"} instead',
    }),
  template: z.enum(TEMPLATES).default('json'),
  secret: z.string().min(SHORTEST_SECRET).optional(),
  routing_key: z.string().min(1).optional(),
  headers: z
    .record(
      z.string(),
      z.string().regex(/^[\t\x20-\x7e]*$/, { error: 'must be one line of ASCII characters, as HTTP wants it' }),
    )
    .default({}),
  on,
})

/** Says who, for an entry that does not say it, which key is meant. */
const eitherSchema = z.strictObject({
  command: z.unknown().optional(),
  ...z.strictObject(webhookSchema.shape).partial().shape,
})

const OF_WEBHOOKS = Object.fromEntries(
  ['template', 'secret', 'routing_key', 'headers'].map((key) => [key, 'in an entry with "webhook:"']),
)

/** Set by us, or by HTTP itself. */
const RESERVED_HEADER = /^(?:content-(?:type|length)|host|connection|transfer-encoding|expect|x-chaos-.*)$/i

/** Undefined where there is none; reports everything that is wrong with it. */
export function readNotify(source: Source, path: Path): NotifySink[] | undefined {
  const value = source.get(path)
  if (value === undefined) return undefined
  const paths: Path[] = Array.isArray(value) ? value.map((_, index) => [...path, index]) : [path]
  return paths.flatMap((entry) => readSink(source, entry) ?? [])
}

function readSink(source: Source, path: Path): NotifySink | undefined {
  const [hasCommand, hasWebhook] = ['command', 'webhook'].map((key) => source.get([...path, key]) !== undefined)
  if (hasCommand === true && hasWebhook === true) {
    source.keyProblem([...path, 'webhook'], 'stands beside "command:": make two entries of them, one for each')
    return undefined
  }
  if (hasCommand === true) {
    const sink = check(source, commandSchema, path, { elsewhere: () => OF_WEBHOOKS })
    return sink && { command: sink.command, on: sink.on ?? DEFAULT_ON }
  }
  if (hasWebhook === true) return readWebhook(source, path)
  if (check(source, eitherSchema, path))
    source.problem(path, 'says nobody to tell: add webhook: "https://…", or command: ["/path/of/a/program"]')
  return undefined
}

function readWebhook(source: Source, path: Path): NotifySink | undefined {
  const sink = check(source, webhookSchema, path)
  if (!sink) return undefined
  const { secret, routing_key, headers, template, webhook } = sink
  for (const name of Object.keys(headers)) {
    const where = [...path, 'headers', name]
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) source.keyProblem(where, `${showKey(name)} is not the name of a header`)
    if (RESERVED_HEADER.test(name)) source.keyProblem(where, `${showKey(name)} is set by chaos itself: remove it`)
  }
  if (template === 'pagerduty' && routing_key === undefined)
    source.problem([...path, 'routing_key'], 'is missing: PagerDuty wants one; add routing_key: ${PAGERDUTY_KEY}')
  if (template !== 'pagerduty' && routing_key !== undefined)
    source.keyProblem([...path, 'routing_key'], 'is only for template: pagerduty; remove it, or add that')
  const { protocol, hostname, host } = new URL(webhook)
  if (protocol === 'http:' && !isLoopback(hostname) && !hostname.endsWith('.localhost'))
    source.warn([...path, 'webhook'], `goes to ${host} without encryption, where others can read it: write https://`)
  return {
    on: sink.on ?? DEFAULT_ON.filter((kind) => template !== 'pagerduty' || kind !== 'digest'),
    webhook,
    template,
    headers,
    ...(secret === undefined ? {} : { secret }),
    ...(routing_key === undefined ? {} : { routing_key }),
  }
}

function urlOf(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
