/** `chaos daemon CONFIG`: recovers, then runs experiments on their schedules until it is stopped. */
import { loadConfig } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { ERROR_CODES } from '../core/errors.ts'
import type { Config } from '../core/experiment.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { logLevelOf } from '../observe/log-level.ts'
import type { LogLevel } from '../observe/log-level.ts'
import { progress } from '../observe/progress.ts'
import { harmless, scrubbed } from '../observe/scrub.ts'
import { stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { storedSecrets } from './secrets.ts'
import { supervised } from './supervised.ts'
import { sinksOf, tellDigests } from './told.ts'

export interface DaemonCommandOptions {
  stateDir?: string
  json?: boolean
  pretty?: boolean
}

const RECOVERY_MS = 30_000
/** How long the end waits for what is still to be told. */
const NOTIFY_MS = 5_000

export async function daemon(context: Context, file: string, options: DaemonCommandOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const { config, level } = await read(context, file).catch(async (error: unknown) => {
    // What was broken between crash and restart must not keep the undo waiting for its author.
    await recoverOnly(context, stateDir)
    throw error
  })
  const { emit, notifier } = await sinksOf(context, config, stateDir, { ...options, level })
  const experiments = config.experiments.map((e) => e.experiment)
  try {
    return await supervised(
      context,
      { command: 'daemon', stateDir, experiments, emit },
      async ({ supervisor, state, signals }) => {
        const { runDaemon } = await import('../daemon/daemon.ts')
        const stop = signals.signal
        const digests = tellDigests(config.settings, { stateDir, state, supervisor, emit, stop })
        const { pending } = await runDaemon({ config, supervisor, stateDir, clock: systemClock, stop })
        await digests
        const exitCode = pending > 0 ? ERROR_CODES.RESIDUE : 0
        supervisor.tell({ type: 'daemon.stopped', exit_code: exitCode })
        return exitCode
      },
    )
  } finally {
    await notifier?.close(NOTIFY_MS)
  }
}

async function read(context: Context, file: string): Promise<{ config: Config; level: LogLevel }> {
  const level = logLevelOf(context.env['CHAOS_LOG_LEVEL'])
  const config = await loadConfig(file, { targets: await context.targets(), env: context.env, require: 'schedule' })
  return { config, level }
}

async function recoverOnly(context: Context, stateDir: string): Promise<void> {
  const secrets = await storedSecrets(await context.targets(), await peekStateDir(stateDir))
  const emit = harmless(scrubbed(secrets, progress({ write: (text) => context.err(text), tty: false })))
  await supervised(context, { command: 'daemon', stateDir, experiments: [], emit }, ({ supervisor }) =>
    supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
  )
}
