/** What the daemon says: its output, its notifications and its digests, with every secret taken out. */
import { hostname } from 'node:os'
import { systemClock } from '../core/clock.ts'
import type { Digest } from '../core/digest.ts'
import type { Sink } from '../core/events.ts'
import type { Config, Settings } from '../core/experiment.ts'
import { slotLog } from '../journal/slots.ts'
import { openStateDir } from '../journal/state-dir.ts'
import type { StateDir } from '../journal/state-dir.ts'
import type { LogLevel } from '../observe/log-level.ts'
import { ndjson } from '../observe/ndjson.ts'
import type { Notifier } from '../observe/notify.ts'
import { progress } from '../observe/progress.ts'
import { harmless, scrubbed } from '../observe/scrub.ts'
import type { Context } from './context.ts'
import { notifySecrets, secretsOf, storedSecrets } from './secrets.ts'
import type { Supervised } from './supervised.ts'

export interface SinkOptions {
  json?: boolean
  pretty?: boolean
  level: LogLevel
}

export interface Sinks {
  emit: Sink
  /** Absent where nobody is to be told. */
  notifier?: Notifier
}

/** What the daemon prints, and what it tells others; no secret gets into either. */
export async function sinksOf(
  context: Context,
  config: Config,
  stateDir: string,
  options: SinkOptions,
): Promise<Sinks> {
  const state = await openStateDir(stateDir)
  const targets = await context.targets()
  const notify = config.settings.notify ?? []
  const secrets = [
    ...secretsOf(
      targets,
      config.experiments.map((e) => e.experiment),
    ),
    ...(await storedSecrets(targets, state)),
    ...notifySecrets(notify),
  ]
  const output = harmless(scrubbed(secrets, await outputOf(context, state, options)))
  if (notify.length === 0) return { emit: output }
  const { startNotifier } = await import('../observe/notify.ts')
  const notifier = startNotifier({
    sinks: notify,
    clock: systemClock,
    random: Math.random,
    version: context.version,
    host: hostname(),
    install: state.install,
    env: context.env,
    warn: output,
  })
  const tell = harmless(scrubbed(secrets, notifier.sink))
  const emit: Sink = (event) => {
    output(event)
    tell(event)
  }
  return { emit, notifier }
}

/** On a terminal or with --pretty lines for people, else one pino line per event; with --json the events themselves. */
async function outputOf(context: Context, state: StateDir, { json, pretty, level }: SinkOptions): Promise<Sink> {
  const write = (text: string): void => context.out(text)
  if (json === true) return ndjson(write)
  if (context.tty || pretty === true) return progress({ write, tty: context.tty })
  const { logSink } = await import('../observe/log.ts')
  const open = (await state.journals()).flatMap(({ started }) => started ?? [])
  const experiments = new Map(open.map(({ run, experiment }) => [run, experiment]))
  return logSink({ level, version: context.version, install: state.install, experiments })
}

export interface DigestParts extends Pick<Supervised, 'supervisor' | 'state'> {
  stateDir: string
  emit: Sink
  stop: AbortSignal
}

/** On `settings.digest`, until it is stopped. */
export async function tellDigests(
  settings: Settings,
  { stateDir, state, supervisor, emit, stop }: DigestParts,
): Promise<void> {
  if (settings.digest === undefined) return
  const { nextByCron, startDigest } = await import('../daemon/digest-schedule.ts')
  const { readDigest } = await import('../daemon/digest.ts')
  const slots = slotLog(stateDir)
  const read = (since: number, until: number): Promise<Digest> => {
    const blocked = new Set(supervisor.blocked.map(({ run }) => run))
    const running = new Set(supervisor.running.filter((run) => !blocked.has(run)))
    return readDigest({ state, slots, since, until, running })
  }
  const next = nextByCron(settings.digest, settings.timezone)
  await startDigest({ stateDir, clock: systemClock, next, read, emit, stop })
}
