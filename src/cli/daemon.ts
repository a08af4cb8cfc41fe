/** `chaos daemon CONFIG`: recovers, then runs experiments on their schedules until it is stopped. */
import { loadConfig } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { ERROR_CODES } from '../core/errors.ts'
import type { Sink } from '../core/events.ts'
import type { Config, Experiment } from '../core/experiment.ts'
import type { Report } from '../core/report.ts'
import type { CommandTargets } from '../daemon/commands.ts'
import type { Supervisor } from '../daemon/supervisor.ts'
import { openOrders } from '../journal/orders.ts'
import { slotLog } from '../journal/slots.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { ndjson } from '../observe/ndjson.ts'
import { progress } from '../observe/progress.ts'
import { harmless, scrub, scrubbed, Secrets } from '../observe/scrub.ts'
import { stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { healthOf } from './health.ts'
import { secretsOf, settingsSecrets, storedSecrets } from './secrets.ts'
import { supervised } from './supervised.ts'
import type { Supervised } from './supervised.ts'

export interface DaemonCommandOptions {
  stateDir?: string
  json?: boolean
}

const RECOVERY_MS = 30_000

export async function daemon(context: Context, file: string, options: DaemonCommandOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const load = async (): Promise<Config> =>
    loadConfig(file, { targets: await context.targets(), env: context.env, require: 'schedule' })
  let config = await load().catch(async (error: unknown) => {
    // A configuration that was broken between crash and restart must not keep the undo waiting for its author.
    await recoverOnly(context, stateDir)
    throw error
  })
  const secrets = new Secrets()
  const configured = async (next: Config): Promise<void> => {
    config = next
    secrets.add(settingsSecrets(next.settings))
    secrets.add(
      secretsOf(
        await context.targets(),
        next.experiments.map((e) => e.experiment),
      ),
    )
  }
  await configured(config)

  const { Tracker } = await import('../daemon/tracker.ts')
  const tracker = new Tracker()
  const told = harmless(scrubbed(secrets, await sinkOf(context, options)))
  const health = await healthOf(config.settings.health)
  const count = harmless(health.sink)
  const emit: Sink = (event) => {
    tracker.see(event)
    count(event)
    told(event)
  }
  const reload = async (): Promise<Config> => {
    const next = await load()
    await configured(next)
    return next
  }
  const experiments = (): Experiment[] => config.experiments.map((e) => e.experiment)
  return supervised(context, { command: 'daemon', stateDir, experiments, emit }, async (all) => {
    const { Daemon } = await import('../daemon/daemon.ts')
    const { openHandled } = await import('../daemon/handled.ts')
    const { Trust } = await import('../daemon/trust.ts')
    const { state, supervisor, signals } = all
    for (const report of await lastReports(state)) tracker.remember(report)
    const orders = await openOrders(state.path, systemClock.now())
    const trust = new Trust({
      orders,
      clock: systemClock,
      mode: () => config.settings.trust,
      summaryOf: (run) => tracker.summaryOf(run),
      warn: (message) => supervisor.tell({ type: 'warning', message }),
    })
    supervisor.admitBy((run) => trust.admit(run))
    const running = new Daemon({
      ...{ config, supervisor, stateDir, orders, tracker, trust, reload, install: state.install },
      handled: await openHandled(state.path, (message) => supervisor.tell({ type: 'warning', message })),
      version: context.version,
      slotLog: slotLog(state.path),
      clock: systemClock,
      stop: signals.signal,
    })
    // Where a terminal holds it, a hang-up is the end of that terminal.
    if (!context.tty) signals.hangupMeans(() => void running.reload().catch(() => undefined))
    const watched = {
      stateDir: state.path,
      status: () => scrub(secrets, running.status),
      tell: (event: Parameters<Supervisor['tell']>[0]) => supervisor.tell(event),
      recover: () => supervisor.recoverAll({ noProgressMs: RECOVERY_MS }),
    }
    const exitCode = await health.around(watched, () =>
      controlled(all, context, { daemon: running, supervisor, trust }, async () => {
        const { pending } = await running.main()
        return pending > 0 ? ERROR_CODES.RESIDUE : 0
      }),
    )
    supervisor.tell({ type: 'daemon.stopped', exit_code: exitCode })
    return exitCode
  })
}

/** With its control socket open: before the first recovery, which somebody may want to watch, and until all is undone. */
async function controlled(
  { state, lock }: Supervised,
  context: Context,
  targets: CommandTargets,
  work: () => Promise<number>,
): Promise<number> {
  const { controlPath, serveControl } = await import('../daemon/control.ts')
  const { obey } = await import('../daemon/commands.ts')
  const path = await controlPath(state.path, state.install, context.env)
  const server = await serveControl(path, (request) => obey(request, targets))
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
async function lastReports(state: StateDir): Promise<Report[]> {
  const runs = (await state.reports()).slice(-RECENT)
  const found = await Promise.all(runs.map((run) => state.report(run).catch(() => undefined)))
  return found.filter((report) => report !== undefined)
}

async function recoverOnly(context: Context, stateDir: string): Promise<void> {
  const secrets = await storedSecrets(await context.targets(), await peekStateDir(stateDir))
  const emit = harmless(scrubbed(secrets, progress({ write: (text) => context.err(text), tty: false })))
  const recoverAll = ({ supervisor }: { supervisor: Supervisor }): Promise<unknown> =>
    supervisor.recoverAll({ noProgressMs: RECOVERY_MS })
  await supervised(context, { command: 'daemon', stateDir, experiments: () => [], emit }, recoverAll)
}

/** On a terminal lines for people, else one pino line per event; with --json the events themselves. */
async function sinkOf(context: Context, { json }: DaemonCommandOptions): Promise<Sink> {
  const write = (text: string): void => context.out(text)
  if (json === true) return ndjson(write)
  if (context.tty) return progress({ write, tty: true })
  const { logSink } = await import('../observe/log.ts')
  return logSink(context.env['CHAOS_LOG_LEVEL'] ?? 'info')
}
