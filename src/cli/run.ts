/** `chaos run CONFIG`: runs the experiments of a file one after the other, now. */
import { loadConfig } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { CodedError, ERROR_CODES } from '../core/errors.ts'
import type { Sink } from '../core/events.ts'
import type { Config, Experiment } from '../core/experiment.ts'
import { visible, visibleData } from '../core/foreign.ts'
import { moreText } from '../core/plan-view.ts'
import { worstExitCode } from '../core/report.ts'
import type { Report } from '../core/report.ts'
import { Tracker } from '../daemon/tracker.ts'
import { Trust } from '../daemon/trust.ts'
import { openOrders } from '../journal/file-orders.ts'
import { frozenNow } from '../journal/orders.ts'
import { mintRun } from '../journal/names.ts'
import { ndjson } from '../observe/ndjson.ts'
import { paintFor } from '../observe/paint.ts'
import { planLines, progress } from '../observe/progress.ts'
import { harmless } from '../core/events.ts'
import { scrubbed } from '../observe/scrub.ts'
import { chosen } from './select-experiments.ts'
import { stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { onlooker } from './read-only-supervisor.ts'
import { secretsOf } from './secrets.ts'
import { stopOnSignal, supervised } from './supervised.ts'

export interface RunOptions {
  stateDir?: string
  dryRun?: boolean
  json?: boolean
  only?: string
  seed?: string
}

/** Recovery before a run; a target that stays dirty refuses only the runs that need it. */
const RECOVERY_MS = 30_000

export async function run(context: Context, file: string, options: RunOptions): Promise<number> {
  const config = await loadConfig(file, { targets: await context.targets(), env: context.env, learn: context.learn })
  const experiments = chosen(config, options.only)
  for (const warning of config.warnings) context.err(`warning: ${warning}\n`)
  return options.dryRun === true
    ? dryRun(context, experiments, options)
    : realRun(context, config, experiments, options)
}

async function realRun(
  context: Context,
  config: Config,
  experiments: Experiment[],
  options: RunOptions,
): Promise<number> {
  const tracker = new Tracker()
  const told = await sinkOf(context, experiments, options)
  const emit: Sink = (event) => {
    tracker.see(event)
    told(event)
  }
  const stateDir = stateDirOf(options.stateDir, context.env)
  return supervised(
    context,
    { command: 'run', stateDir, experiments: () => experiments, emit },
    async ({ supervisor, state, signals }) => {
      const orders = await openOrders(state.path, systemClock.now())
      const trust = new Trust({
        orders,
        clock: systemClock,
        // Whoever types this has decided.
        mode: () => 'warn',
        summaryOf: (run) => tracker.summaryOf(run),
        warn: (message) => supervisor.tell({ type: 'warning', code: 'first_run', message }),
      })
      supervisor.admitBy((run) => trust.admit(run))
      const stopping = stopOnSignal(signals.signal, supervisor, config.settings.stop_deadline_ms)
      await supervisor.recoverAll({ noProgressMs: RECOVERY_MS })
      const frozen = frozenNow(orders.current, systemClock.now())
      if (frozen) throw new CodedError('REFUSED_FROZEN', `frozen: ${frozen.reason}; chaos unfreeze ends that`)
      const reports: Report[] = []
      for (const experiment of experiments) {
        if (signals.signal.aborted) break
        reports.push(
          await supervisor.run(experiment, {
            ...(options.seed === undefined ? {} : { seed: options.seed }),
            wait: 'skip',
          }),
        )
      }
      const codes = reports.map((report) =>
        report.outcome === 'aborted' && report.exit_code === 130 ? signals.exitCode : report.exit_code,
      )
      // Stopped before anything was run: what an earlier run left may still be pending.
      const unbegun = supervisor.blocked.length > 0 ? ERROR_CODES.RESIDUE : signals.exitCode
      const exitCode = worstExitCode(codes.length === 0 ? [unbegun] : codes)
      if (options.json === true) {
        const [only] = reports
        context.out(
          `${JSON.stringify(reports.length === 1 && only ? { type: 'report', ...only } : { type: 'report', exit_code: exitCode, reports })}\n`,
        )
      }
      await stopping.done()
      return exitCode
    },
  )
}

async function dryRun(context: Context, experiments: Experiment[], options: RunOptions): Promise<number> {
  const supervisor = await onlooker(context, options.stateDir, experiments)
  const paint = paintFor(context)
  for (const experiment of experiments) {
    const plan = await supervisor.looks.preview(experiment, options.seed ?? mintRun(systemClock.now()))
    if (options.json === true) {
      context.out(`${JSON.stringify({ type: 'plan', experiment: experiment.name, ...plan })}\n`)
      continue
    }
    context.out(`${paint('bold', experiment.name)}: ${visible(plan.summary)}\n`)
    const { resources, counts } = visibleData(plan)
    for (const r of resources)
      context.out(`  ${r.kind} ${r.id}${r.detail === undefined ? '' : `  ${paint('dim', r.detail)}`}\n`)
    const more = moreText(
      counts.resources,
      resources.map((r) => r.kind),
    )
    if (more !== undefined) context.out(`  and ${more}; chaos discover lists them\n`)
    context.out(
      plan.steps.length === 0 ? 'nothing would run:\n' : `would run (seed ${plan.seed}), then undo in reverse:\n`,
    )
    for (const line of planLines(plan, paint)) context.out(`${line}\n`)
    context.out('nothing was changed\n')
  }
  return 0
}

async function sinkOf(context: Context, experiments: Experiment[], { json }: RunOptions): Promise<Sink> {
  const secrets = secretsOf(await context.targets(), experiments)
  const write = (text: string): void => context.out(text)
  return harmless(scrubbed(secrets, json === true ? ndjson(write) : progress({ write, screen: context })))
}
