/** The daemon's controls: commands that ask a running daemon for something, over its control socket. */
import { formatDuration, parseDuration } from '../../core/duration.ts'
import { CodedError, ConfigError } from '../../core/errors.ts'
import { systemClock } from '../../core/clock.ts'
import { counted } from '../../core/counted.ts'
import { visible } from '../../core/foreign.ts'
import type { Report } from '../../core/report.ts'
import type { DaemonStatus } from '../../core/status.ts'
import { askDaemon } from '../../daemon/control/client.ts'
import type { Request } from '../../daemon/control/messages.ts'
import { lockState } from '../../supervisor/lock.ts'
import { pendingSteps } from '../../journal/journal.ts'
import { openOrders } from '../../journal/file-orders.ts'
import type { StandingOrders } from '../../journal/orders.ts'
import { openStateDir, peekStateDir } from '../../journal/state-dir.ts'
import { summaryLines } from '../../observe/progress.ts'
import { plain } from '../../observe/paint.ts'
import { json, stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'

export interface ControlOptions {
  stateDir?: string
  json?: boolean
}

/** `chaos abort RUN`: undoes it now, and waits until that is done. Its exit code is 0 when everything is undone. */
export async function abort(
  context: Context,
  run: string,
  options: ControlOptions & { reason?: string },
): Promise<number> {
  const reason = options.reason ?? 'chaos abort'
  const report = (await ask(context, options, { op: 'abort', run, reason })) as Report
  return (
    show(context, options, report, [`${report.run} (${report.experiment})`, ...summaryLines(report, plain)]) ||
    residue(report)
  )
}

/** `chaos run-now NAME`: beside its schedule, in the daemon. */
export async function runNow(
  context: Context,
  experiment: string,
  options: ControlOptions & { wait?: boolean },
): Promise<number> {
  const wait = options.wait === true
  const { run, report } = (await ask(context, options, { op: 'run-now', experiment, wait })) as {
    run: string
    report?: Report
  }
  if (!report) return show(context, options, { run }, [`${experiment} runs as ${run}`])
  show(context, options, report, [`${run} (${experiment})`, ...summaryLines(report, plain)])
  return report.exit_code
}

/** `chaos reload`: like SIGHUP, but says what is wrong. */
export async function reload(context: Context, options: ControlOptions): Promise<number> {
  const result = (await ask(context, options, { op: 'reload' })) as {
    file: string
    experiments: number
    warnings: string[]
  }
  const warnings = result.warnings.map((warning) => `warning: ${warning}`)
  return show(context, options, result, [
    `read ${result.file} anew: ${counted(result.experiments, 'experiment')}`,
    ...warnings,
  ])
}

/** `chaos freeze [REASON] [--for 2h]`: aborts, undoes and blocks; also where no daemon is up, for the next one. */
export async function freeze(
  context: Context,
  reason: string | undefined,
  options: ControlOptions & { for?: string },
): Promise<number> {
  const why = reason ?? 'chaos freeze'
  const forMs = options.for === undefined ? undefined : durationOf('freeze', '--for', options.for)
  const request: Request = { op: 'freeze', reason: why, ...(forMs === undefined ? {} : { for_ms: forMs }) }
  const now = systemClock.now()
  const until = forMs === undefined ? {} : { until: new Date(now + forMs).toISOString() }
  const frozen = { since: new Date(now).toISOString(), reason: why, ...until }
  const { result: answer, silence } = await askOrWrite(context, options, request, (orders) => ({ ...orders, frozen }))
  const result = answer as { ended: string[]; pending: number } | undefined
  const left = silence === undefined ? 0 : await openSteps(stateDirOf(options.stateDir, context.env))
  const lines = [
    `frozen${forMs === undefined ? '' : ` for ${formatDuration(forMs)}`}: ${why}`,
    ...writtenLines(silence),
    ...(left > 0 ? [`${left} ${left === 1 ? 'fault is' : 'faults are'} in place, and not undone by this`] : []),
    ...(result?.ended ?? []).map((name) => `${name} was ended and undone`),
    ...(result && result.pending > 0
      ? [`${counted(result.pending, 'run')} not undone yet; chaos status shows them`]
      : []),
  ]
  show(context, options, { frozen: true, ...until, ...result, ...(silence === undefined ? {} : { silence }) }, lines)
  return left > 0 || (result && result.pending > 0) ? 4 : 0
}

export async function unfreeze(context: Context, options: ControlOptions): Promise<number> {
  const { silence } = await askOrWrite(context, options, { op: 'unfreeze' }, ({ disabled, trusted }) => ({
    ...{ disabled, trusted },
  }))
  const told = { frozen: false, ...(silence === undefined ? {} : { silence }) }
  return show(context, options, told, ['no longer frozen', ...writtenLines(silence)])
}

/** `chaos disable NAME [--until T]`. */
export async function disable(
  context: Context,
  experiment: string,
  options: ControlOptions & { until?: string },
): Promise<number> {
  const until = options.until === undefined ? undefined : timeOf(options.until)
  await ask(context, options, { op: 'disable', experiment, ...(until === undefined ? {} : { until }) })
  const text = `${experiment} is disabled${until === undefined ? '' : ` until ${until}`}`
  return show(context, options, { experiment, disabled: true, ...(until === undefined ? {} : { until }) }, [text])
}

export async function enable(context: Context, experiment: string, options: ControlOptions): Promise<number> {
  await ask(context, options, { op: 'enable', experiment })
  return show(context, options, { experiment, disabled: false }, [`${experiment} is enabled`])
}

/** `chaos trust [NAME]`: without a name it only shows what waits. */
export async function trust(
  context: Context,
  experiment: string | undefined,
  options: ControlOptions & { all?: boolean },
): Promise<number> {
  if (experiment === undefined && options.all !== true) {
    const { untrusted } = (await ask(context, options, { op: 'status' })) as DaemonStatus
    const lines = untrusted.map(systemLine)
    return show(context, options, { untrusted }, lines.length === 0 ? ['nothing waits to be trusted'] : lines)
  }
  const request: Request = { op: 'trust', ...(experiment === undefined ? {} : { experiment }) }
  const trusted = (await ask(context, options, request)) as DaemonStatus['untrusted']
  return show(
    context,
    options,
    { trusted },
    trusted.length === 0 ? ['nothing waits to be trusted'] : trusted.map((system) => `trusted: ${systemLine(system)}`),
  )
}

function systemLine({ experiment, endpoint, identity, summary }: DaemonStatus['untrusted'][number]): string {
  const parts = Object.entries(identity).map(([part, value]) => `${part} ${value ?? 'unreadable'}`)
  return `${experiment} on ${endpoint}: ${summary} (${parts.join(', ')})`
}

function ask(context: Context, { stateDir }: ControlOptions, request: Request): Promise<unknown> {
  return askDaemon(stateDirOf(stateDir, context.env), request)
}

/**
 * Where no daemon is up, the order is written for the next one; where one is and does not answer (`silence` says so), for
 * when it goes on.
 */
async function askOrWrite(
  context: Context,
  options: ControlOptions,
  request: Request,
  change: (orders: StandingOrders) => StandingOrders,
): Promise<{ result?: unknown; silence?: string }> {
  let silence: string | undefined
  try {
    return { result: await ask(context, options, request) }
  } catch (error) {
    if (!(error instanceof CodedError) || !['NO_DAEMON', 'NO_ANSWER'].includes(error.code)) throw error
    if (error.code === 'NO_ANSWER') silence = error.message
  }
  const state = await openStateDir(stateDirOf(options.stateDir, context.env))
  const write = async (): Promise<void> => (await openOrders(state.path, systemClock.now())).change(change)
  if (silence !== undefined) {
    // It has the lock. The file is replaced as a whole, and it looks at it before it begins anything.
    await write()
    return { silence }
  }
  const lock = await lockState(state.path, request.op, systemClock, () => undefined)
  try {
    await write()
  } finally {
    await lock.release()
  }
  return {}
}

function writtenLines(silence: string | undefined): string[] {
  if (silence === undefined) return []
  return [silence, 'It is written into the state folder, and obeyed as soon as the daemon goes on']
}

async function openSteps(stateDir: string): Promise<number> {
  const journals = await (await peekStateDir(stateDir)).runs.list()
  return journals.reduce((sum, journal) => sum + pendingSteps(journal).length, 0)
}

function show(context: Context, options: ControlOptions, result: unknown, lines: readonly string[]): number {
  context.out(options.json === true ? json(result) : lines.map((line) => `${visible(line)}\n`).join(''))
  return 0
}

function residue(report: Report): number {
  return report.residue.length > 0 ? 4 : 0
}

function durationOf(command: string, option: string, text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms > 0) return ms
  throw usage(command, option, `${JSON.stringify(text)} is not a duration: write e.g. 2h or 30m`)
}

/** A time, or how long from now. */
function timeOf(text: string): string {
  const ms = parseDuration(text)
  const at = ms === undefined ? Date.parse(text) : systemClock.now() + ms
  if (Number.isNaN(at) || at <= systemClock.now())
    throw usage(
      'disable',
      '--until',
      `${JSON.stringify(text)} is not a time to come: write e.g. 2026-12-01T08:00:00Z or 3d`,
    )
  return new Date(at).toISOString()
}

function usage(file: string, path: string, message: string): ConfigError {
  return new ConfigError([{ file, line: 0, column: 0, path, message }], 'USAGE')
}
