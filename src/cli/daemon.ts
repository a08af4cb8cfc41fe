/** `chaos daemon CONFIG`: recovers, then runs experiments on their schedules until it is stopped. */
import { loadConfig } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { ERROR_CODES } from '../core/errors.ts'
import type { Sink } from '../core/events.ts'
import type { Config } from '../core/experiment.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { ndjson } from '../observe/ndjson.ts'
import { progress } from '../observe/progress.ts'
import { harmless, scrubbed } from '../observe/scrub.ts'
import { stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { secretsOf, storedSecrets } from './secrets.ts'
import { supervised } from './supervised.ts'

export interface DaemonCommandOptions {
  stateDir?: string
  json?: boolean
}

const RECOVERY_MS = 30_000

export async function daemon(context: Context, file: string, options: DaemonCommandOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const config = await loadConfig(file, {
    targets: await context.targets(),
    env: context.env,
    require: 'schedule',
  }).catch(async (error: unknown) => {
    // A configuration that was broken between crash and restart must not keep the undo waiting for its author.
    await recoverOnly(context, stateDir)
    throw error
  })
  const emit = await sinkOf(context, config, options)
  const experiments = config.experiments.map((e) => e.experiment)
  return supervised(context, { command: 'daemon', stateDir, experiments, emit }, async ({ supervisor, signals }) => {
    const { runDaemon } = await import('../daemon/daemon.ts')
    const { pending } = await runDaemon({ config, supervisor, stateDir, clock: systemClock, stop: signals.signal })
    const exitCode = pending > 0 ? ERROR_CODES.RESIDUE : 0
    supervisor.tell({ type: 'daemon.stopped', exit_code: exitCode })
    return exitCode
  })
}

async function recoverOnly(context: Context, stateDir: string): Promise<void> {
  const secrets = await storedSecrets(await context.targets(), await peekStateDir(stateDir))
  const emit = harmless(scrubbed(secrets, progress({ write: (text) => context.err(text), tty: false })))
  await supervised(context, { command: 'daemon', stateDir, experiments: [], emit }, ({ supervisor }) =>
    supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
  )
}

/** On a terminal lines for people, else one pino line per event; with --json the events themselves. */
async function sinkOf(context: Context, config: Config, { json }: DaemonCommandOptions): Promise<Sink> {
  const secrets = secretsOf(
    await context.targets(),
    config.experiments.map((e) => e.experiment),
  )
  const write = (text: string): void => context.out(text)
  if (json === true) return harmless(scrubbed(secrets, ndjson(write)))
  if (context.tty) return harmless(scrubbed(secrets, progress({ write, tty: true })))
  const { logSink } = await import('../observe/log.ts')
  return harmless(scrubbed(secrets, logSink(context.env['CHAOS_LOG_LEVEL'] ?? 'info')))
}
