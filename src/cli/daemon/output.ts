/** What the daemon says: its output, its notifications and its digests, with every secret taken out. */
import { hostname } from 'node:os'
import { systemClock } from '../../core/clock.ts'
import type { Digest } from '../../core/digest.ts'
import type { Sink } from '../../core/events.ts'
import type { Config } from '../../core/experiment.ts'
import type { DaemonStatus } from '../../core/status.ts'
import type { Supervisor } from '../../supervisor/supervisor.ts'
import { slotLog } from '../../journal/due-log.ts'
import { openStateDir } from '../../journal/state-dir.ts'
import type { StateDir } from '../../journal/state-dir.ts'
import type { LogLevel } from '../../observe/log-level.ts'
import { ndjson } from '../../observe/ndjson.ts'
import type { Notifier } from '../../observe/notify.ts'
import { progress } from '../../observe/progress.ts'
import { harmless } from '../../core/events.ts'
import { scrubbed, Secrets } from '../../observe/scrub.ts'
import type { Context } from '../context.ts'
import { secretsOf, settingsSecrets, storedSecrets } from '../secrets.ts'

export interface OutputOptions {
  json?: boolean
  pretty?: boolean
  level: LogLevel
  /** Its output goes to a file that may be another one later. */
  toFile?: boolean
}

export class Told {
  readonly secrets = new Secrets()
  readonly #context: Context
  readonly #state: StateDir
  readonly #output: Sink
  #notifier: Notifier | undefined
  #tell: Sink = () => undefined

  static async open(context: Context, stateDir: string, options: OutputOptions): Promise<Told> {
    const state = await openStateDir(stateDir)
    const told = new Told(context, state, await outputOf(context, state, options))
    told.secrets.add(await storedSecrets(await context.targets(), state))
    return told
  }

  private constructor(context: Context, state: StateDir, output: Sink) {
    this.#context = context
    this.#state = state
    this.#output = harmless(scrubbed(this.secrets, output))
  }

  readonly emit: Sink = (event) => {
    this.#output(event)
    this.#tell(event)
  }

  get notify(): DaemonStatus['notify'] {
    return this.#notifier?.counts ?? { delivered: 0, failed: 0, dropped: 0, waiting: 0 }
  }

  /** From now on by this configuration. Secrets of an earlier one stay secret. */
  async use(config: Config): Promise<void> {
    const experiments = config.experiments.map((e) => e.experiment)
    this.secrets.add(secretsOf(await this.#context.targets(), experiments))
    this.secrets.add(settingsSecrets(config.settings))
    this.secrets.hide(config.filled ?? [])
    const sinks = config.settings.notify ?? []
    if (this.#notifier) this.#notifier.use(sinks)
    else if (sinks.length > 0) await this.#startNotifier(sinks)
  }

  /** Delivers what waits, for at most so many milliseconds. */
  async close(deadlineMs: number): Promise<void> {
    await this.#notifier?.close(deadlineMs)
  }

  async #startNotifier(sinks: NonNullable<Config['settings']['notify']>): Promise<void> {
    const { startNotifier } = await import('../../observe/notify.ts')
    this.#notifier = startNotifier({
      sinks,
      clock: systemClock,
      random: Math.random,
      version: this.#context.version,
      host: hostname(),
      install: this.#state.install,
      env: this.#context.env,
      warn: this.#output,
    })
    this.#tell = harmless(scrubbed(this.secrets, this.#notifier.sink))
  }
}

/** On a terminal or with --pretty lines for people, else one pino line per event; with --json the events themselves. */
async function outputOf(
  context: Context,
  state: StateDir,
  { json, pretty, level, toFile }: OutputOptions,
): Promise<Sink> {
  const write = (text: string): void => context.out(text)
  if (json === true) return ndjson(write)
  if (context.tty || pretty === true) return progress({ write, screen: context })
  const { logSink } = await import('../../observe/log.ts')
  const open = (await state.runs.list()).flatMap(({ started }) => started ?? [])
  const experiments = new Map(open.map(({ run, experiment }) => [run, experiment]))
  return logSink({
    level,
    version: context.version,
    install: state.install,
    experiments,
    ...(toFile === true ? { write } : {}),
  })
}

export interface DigestParts {
  state: StateDir
  supervisor: Supervisor
  emit: Sink
  /** The coming due times. */
  next(): Digest['next']
}

/** Tells digests on `settings.digest`, by the configuration it was given last. */
export class Digests {
  readonly #parts: DigestParts
  #stop = new AbortController()
  #telling: Promise<void> = Promise.resolve()

  constructor(parts: DigestParts) {
    this.#parts = parts
  }

  async use({ settings }: Config): Promise<void> {
    await this.stop()
    const { state, supervisor, emit, next: coming } = this.#parts
    if (settings.digest === undefined) return
    const { nextByCron, startDigest } = await import('../../daemon/digest-schedule.ts')
    const { readDigest } = await import('../../daemon/digest.ts')
    const slots = slotLog(state.path)
    const read = (since: number, until: number): Promise<Digest> => {
      const blocked = new Set(supervisor.blocked.map(({ run }) => run))
      const running = new Set(supervisor.running.filter((run) => !blocked.has(run)))
      return readDigest({ ...state, slots, since, until, running, next: coming() })
    }
    this.#stop = new AbortController()
    const next = nextByCron(settings.digest, settings.timezone)
    const stop = this.#stop.signal
    this.#telling = startDigest({ stateDir: state.path, clock: systemClock, next, read, emit, stop })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#telling
  }
}
