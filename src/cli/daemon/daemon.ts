/** `chaos daemon CONFIG`: recovers, then runs experiments on their schedules until it is stopped. */
import { loadConfig } from '../../config/load.ts'
import { systemClock } from '../../core/clock.ts'
import { CodedError, ERROR_CODES } from '../../core/errors.ts'
import type { Sink } from '../../core/events.ts'
import type { Config } from '../../core/experiment.ts'
import type { Report } from '../../core/report.ts'
import type { CommandTargets } from '../../daemon/control/commands.ts'
import type { Supervisor } from '../../supervisor/supervisor.ts'
import { openOrders } from '../../journal/file-orders.ts'
import { refuseForeign } from '../../journal/exposed.ts'
import { slotLog } from '../../journal/due-log.ts'
import { checkPidFile } from '../../daemon/pid-file.ts'
import { peekStateDir } from '../../journal/state-dir.ts'
import type { History } from '../../journal/history.ts'
import { logLevelOf } from '../../observe/log-level.ts'
import { progress } from '../../observe/progress.ts'
import { harmless } from '../../core/events.ts'
import { scrub, scrubbed } from '../../observe/scrub.ts'
import { stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'
import { healthOf } from './health.ts'
import type { LogFile } from './log-file.ts'
import { storedSecrets } from '../secrets.ts'
import { service, serviceFiles } from './service.ts'
import { supervised } from '../supervised.ts'
import type { Supervised } from '../supervised.ts'
import { Digests, Told } from './output.ts'

export interface DaemonCommandOptions {
  stateDir?: string
  json?: boolean
  pretty?: boolean
  pidFile?: string
  detach?: boolean
  /** Hidden: it was started by `--detach`. */
  detached?: boolean
  logFile?: string
}

const RECOVERY_MS = 30_000
/** How often it is looked whether somebody has written orders. */
const ORDERS_MS = 1_000
/** What is still to be told at the end gets so long. */
const NOTIFY_MS = 5_000

export async function daemon(context: Context, file: string, options: DaemonCommandOptions): Promise<number> {
  const files = serviceFiles(options)
  const settled = { ...options, ...files, stateDir: stateDirOf(options.stateDir, context.env) }
  refuseForeign(settled.stateDir)
  if (options.detach !== true && options.detached !== true) return serve(context, file, settled, () => undefined)
  const { detach, detached } = await import('./detach.ts')
  if (options.detached === true) {
    const { logFile } = files
    const { openLogFile } = await import('./log-file.ts')
    const log = logFile === undefined ? undefined : openLogFile(logFile)
    const own = log ? { ...context, out: log.write, err: log.write } : context
    return detached(own, (heard, ready) => serve(heard, file, { ...settled, ...(log ? { log } : {}) }, ready))
  }
  const { json = false, pretty = false } = options
  return detach(context, { ...files, config: file, stateDir: settled.stateDir, json, pretty })
}

async function serve(
  context: Context,
  file: string,
  options: DaemonCommandOptions & { stateDir: string; log?: LogFile },
  ready: () => void,
): Promise<number> {
  const { stateDir, pidFile } = options
  const load = async (): Promise<Config> =>
    loadConfig(file, { targets: await context.targets(), env: context.env, learn: context.learn, require: 'schedule' })
  const start = async () => {
    if (pidFile !== undefined) await checkPidFile(pidFile)
    return { level: logLevelOf(context.env['CHAOS_LOG_LEVEL']), config: await load() }
  }
  const started = await start().catch(async (error: unknown) => {
    // What was broken between crash and restart must not keep the undo waiting for its author.
    if (!(error instanceof CodedError && error.code === 'LOCKED')) await recoverOnly(context, stateDir)
    throw error
  })
  let { config } = started
  const { Tracker } = await import('../../daemon/tracker.ts')
  const tracker = new Tracker()
  const told = await Told.open(context, stateDir, {
    ...options,
    toFile: options.log !== undefined,
    level: started.level,
  })
  await told.use(config)
  const health = await healthOf(config.settings.health)
  const asService = service(context, { stateDir, pidFile, ready })
  const watched = harmless(scrubbed(told.secrets, asService.sink))
  const sinks = [(event) => tracker.see(event), harmless(health.sink), told.emit, watched] satisfies Sink[]
  const emit: Sink = (event) => sinks.forEach((sink) => sink(event))

  const work = async (all: Supervised): Promise<number> => {
    const { Daemon } = await import('../../daemon/daemon.ts')
    const { openHandled } = await import('../../daemon/schedule-file.ts')
    const { Trust } = await import('../../daemon/trust.ts')
    const { LocalTurns } = await import('../../daemon/turns.ts')
    const { state, supervisor, signals } = all
    for (const report of await lastReports(state.history)) tracker.remember(report)
    const warn = (message: string): void => supervisor.tell({ type: 'warning', message })
    const orders = await openOrders(state.path, systemClock.now())
    const mode = (): 'warn' | 'require' => config.settings.trust
    const summaryOf = (run: string): string => tracker.summaryOf(run)
    const trust = new Trust({ orders, clock: systemClock, mode, summaryOf, warn })
    supervisor.admitBy((run) => trust.admit(run))
    const reload = async (): Promise<Config> => {
      asService.reloading()
      const next = await load()
      await told.use(next)
      await digests.use(next)
      if (JSON.stringify(next.settings.health) !== JSON.stringify(config.settings.health))
        warn('settings.health_bind and health_token count from the next start')
      return (config = next)
    }
    const running = new Daemon({
      ...{ config, supervisor, stateDir, orders, tracker, trust, reload, install: state.install },
      hasReport: (run) => state.history.read(run).then((report) => report !== undefined),
      notified: () => told.notify,
      handled: await openHandled(state.path, warn),
      version: context.version,
      turns: new LocalTurns(config.settings.max_concurrent),
      slotLog: slotLog(state.path),
      clock: systemClock,
      stop: signals.signal,
    })
    const digests = new Digests({ state, supervisor, emit, next: () => running.next })
    await digests.use(config)
    // Where a terminal holds it, a hang-up is the end of that terminal.
    if (!context.tty)
      signals.hangupMeans(() => {
        // Whoever rotates a log moves it away and says so by this.
        const problem = options.log?.reopen()
        if (problem !== undefined) warn(problem)
        void running.reload().catch(() => undefined)
      })
    const healthOptions = {
      stateDir: state.path,
      status: () => scrub(told.secrets, running.status),
      tell: (event: Parameters<Supervisor['tell']>[0]) => supervisor.tell(event),
      recover: () => supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
    }
    const stop = (): void => signals.stop(new CodedError('ABORTED', 'chaos stop'))
    // A command that nobody answers writes its order there: who has been stopped obeys it when it goes on.
    const looking = setInterval(() => void running.ordersChanged(), ORDERS_MS)
    const { pending } = await asService
      .run(() =>
        health.around(healthOptions, () =>
          controlled(all, context, { daemon: running, supervisor, trust, state, clock: systemClock, stop }, () =>
            running.main(),
          ),
        ),
      )
      .finally(() => clearInterval(looking))
    await digests.stop()
    const exitCode = pending > 0 ? ERROR_CODES.RESIDUE : 0
    supervisor.tell({ type: 'daemon.stopped', exit_code: exitCode })
    return exitCode
  }

  const experiments = () => config.experiments.map((e) => e.experiment)
  try {
    return await supervised(context, { command: 'daemon', stateDir, experiments, emit }, work)
  } finally {
    await told.close(NOTIFY_MS)
  }
}

/** With its control socket open: before the first recovery, which somebody may want to watch, and until all is undone. */
async function controlled<T>(
  { state, lock, supervisor }: Supervised,
  context: Context,
  targets: CommandTargets,
  work: () => Promise<T>,
): Promise<T> {
  const { serveControlIn } = await import('../../daemon/control/server.ts')
  const { obey } = await import('../../daemon/control/commands.ts')
  const places = { stateDir: state.path, install: state.install, env: context.env }
  const warn = (message: string): void => supervisor.tell({ type: 'warning', message })
  const server = await serveControlIn(places, (request) => obey(request, targets), warn).catch(
    async (error: unknown) => {
      // Whom nobody can tell to stop starts nothing; what was left is undone all the same.
      await supervisor.recoverAll({ noProgressMs: RECOVERY_MS })
      throw error
    },
  )
  try {
    await lock.setControl(server.path)
    return await work()
  } finally {
    await server.close()
  }
}

/** So many reports are looked through: a daemon with a run a second must not read its whole history at every start. */
const RECENT = 500

/** The newest reports, for `status`. */
async function lastReports(history: History): Promise<Report[]> {
  const runs = (await history.list()).slice(-RECENT)
  const found = await Promise.all(runs.map((run) => history.read(run).catch(() => undefined)))
  return found.filter((report) => report !== undefined)
}

async function recoverOnly(context: Context, stateDir: string): Promise<void> {
  const state = await peekStateDir(stateDir)
  // Then the folder is not even made.
  if ((await state.runs.list()).length === 0) return
  const secrets = await storedSecrets(await context.targets(), state)
  const emit = harmless(
    scrubbed(secrets, progress({ write: (text) => context.err(text), screen: { tty: false, env: context.env } })),
  )
  const recoverAll = ({ supervisor }: { supervisor: Supervisor }): Promise<unknown> =>
    supervisor.recoverAll({ noProgressMs: RECOVERY_MS })
  await supervised(context, { command: 'daemon', stateDir, experiments: () => [], emit }, recoverAll)
}
