/** A daemon from its first look at the configuration until everything is undone and told. */
import { loadConfig } from '../../config/load.ts'
import { CodedError, ERROR_CODES } from '../../core/errors.ts'
import { systemClock } from '../../core/clock.ts'
import { harmless } from '../../core/events.ts'
import type { Sink } from '../../core/events.ts'
import type { Config } from '../../core/experiment.ts'
import { checkPidFile } from '../../daemon/pid-file.ts'
import { logLevelOf } from '../../observe/log-level.ts'
import { scrub, scrubbed } from '../../observe/scrub.ts'
import type { Context } from '../context.ts'
import { supervised } from '../supervised.ts'
import type { Supervised } from '../supervised.ts'
import { Configuration } from './configuration.ts'
import { controlled } from './controlled.ts'
import { healthOf } from './health.ts'
import type { LogFile } from './log-file.ts'
import { openDaemon } from './open-daemon.ts'
import type { OpenDaemon } from './open-daemon.ts'
import { Told } from './output.ts'
import { RECOVERY_MS, recoverOnly } from './recover-only.ts'
import { service } from './service.ts'

export interface ServeOptions {
  stateDir: string
  json?: boolean
  pretty?: boolean
  pidFile?: string
  log?: LogFile
}

/** How often it is looked whether somebody has written orders. */
const ORDERS_MS = 1_000
/** What is still to be told at the end gets so long. */
const NOTIFY_MS = 5_000

/** Resolves with the exit code; `ready` is called when the daemon is. */
export async function serve(context: Context, file: string, options: ServeOptions, ready: () => void): Promise<number> {
  const { stateDir, pidFile, log } = options
  const load = async (): Promise<Config> =>
    loadConfig(file, { targets: await context.targets(), env: context.env, learn: context.learn, require: 'schedule' })
  const { level, config } = await begin(context, options, load)
  const configuration = new Configuration(config, load)
  const { Tracker } = await import('../../daemon/tracker.ts')
  const tracker = new Tracker()
  const told = await Told.open(context, stateDir, { ...options, toFile: log !== undefined, level })
  await told.use(config)
  const health = await healthOf(config.settings.health)
  const asService = service(context, { stateDir, pidFile, ready })
  const watched = harmless(scrubbed(told.secrets, asService.sink))
  const sinks = [(event) => tracker.see(event), harmless(health.sink), told.emit, watched] satisfies Sink[]
  const emit: Sink = (event) => sinks.forEach((sink) => sink(event))

  const work = async (all: Supervised): Promise<number> => {
    const { state, supervisor, signals } = all
    const reloading = (): void => asService.reloading()
    const { version } = context
    const open = await openDaemon({ all, configuration, tracker, told, version, emit, reloading })
    if (!context.tty) hangUp(all, open, log)
    const healthOptions = {
      stateDir: state.path,
      status: () => scrub(told.secrets, open.daemon.status),
      tell: (event: Parameters<typeof supervisor.tell>[0]) => supervisor.tell(event),
      recover: () => supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
    }
    const stop = (): void => signals.stop(new CodedError('ABORTED', 'chaos stop'))
    const targets = { ...open, supervisor, state, clock: systemClock, stop }
    // A command that nobody answers writes its order there: who has been stopped obeys it when it goes on.
    const looking = setInterval(() => void open.daemon.ordersChanged(), ORDERS_MS)
    const { pending } = await asService
      .run(() => health.around(healthOptions, () => controlled(all, context.env, targets, () => open.daemon.main())))
      .finally(() => clearInterval(looking))
    await open.digests.stop()
    const exitCode = pending > 0 ? ERROR_CODES.RESIDUE : 0
    supervisor.tell({ type: 'daemon.stopped', exit_code: exitCode })
    return exitCode
  }

  const experiments = () => configuration.now.experiments.map((e) => e.experiment)
  try {
    return await supervised(context, { command: 'daemon', stateDir, experiments, emit }, work)
  } finally {
    await told.close(NOTIFY_MS)
  }
}

/** Everything that can be wrong before the state folder is locked. */
async function begin(context: Context, { pidFile, stateDir }: ServeOptions, load: () => Promise<Config>) {
  try {
    if (pidFile !== undefined) await checkPidFile(pidFile)
    return { level: logLevelOf(context.env['CHAOS_LOG_LEVEL']), config: await load() }
  } catch (error) {
    // What was broken between crash and restart must not keep the undo waiting for its author.
    if (!(error instanceof CodedError && error.code === 'LOCKED')) await recoverOnly(context, stateDir)
    throw error
  }
}

/** Where no terminal holds the daemon, a hang-up means: read the configuration anew. */
function hangUp({ signals, supervisor }: Supervised, { daemon }: OpenDaemon, log: LogFile | undefined): void {
  signals.hangupMeans(() => {
    // Whoever rotates a log moves it away and says so by this.
    const problem = log?.reopen()
    if (problem !== undefined) supervisor.tell({ type: 'warning', code: 'log_file', message: problem })
    void daemon.reload().catch(() => undefined)
  })
}
