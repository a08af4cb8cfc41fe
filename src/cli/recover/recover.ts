/** `chaos recover`: undoes what a crash left, now. */
import { counted } from '../../core/counted.ts'
import { CodedError, ConfigError, ERROR_CODES } from '../../core/errors.ts'
import { visible, visibleData } from '../../core/foreign.ts'
import { worstExitCode } from '../../core/report.ts'
import type { Report } from '../../core/report.ts'
import type { Blocked } from '../../supervisor/blocked.ts'
import { askDaemon } from '../../daemon/control/client.ts'
import type { Request } from '../../daemon/control/messages.ts'
import type { HandOver } from '../../engine/recover.ts'
import type { StuckRun } from '../../engine/stuck.ts'
import { refuseUndamaged } from '../../journal/accept-loss.ts'
import { refuseForeign } from '../../journal/exposed.ts'
import { pendingSteps } from '../../journal/journal.ts'
import type { Damage } from '../../journal/journal.ts'
import { findStateDir, peekStateDir } from '../../journal/state-dir.ts'
import { holderOf } from '../../supervisor/holder.ts'
import { ndjson } from '../../observe/ndjson.ts'
import { progress, summaryLines } from '../../observe/progress.ts'
import { plain } from '../../observe/paint.ts'
import { harmless } from '../../core/events.ts'
import { scrubbed } from '../../observe/scrub.ts'
import { json, stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'
import { acceptLossOf, showAccepted } from './accept-loss.ts'
import type { AcceptedLoss } from './accept-loss.ts'
import { storedSecrets } from '../secrets.ts'
import { writeByHand } from './by-hand.ts'
import { handOverOf, stepsOf } from './decisions.ts'
import type { HandOverOptions } from './decisions.ts'
import { reasonsOf, shownOf, showPages, stuckRuns } from './stuck-runs.ts'
import { stopOnSignal, supervised } from '../supervised.ts'

export interface RecoverOptions extends HandOverOptions {
  stateDir?: string
  json?: boolean
}

/** Somebody is watching: an undo that waits for a lock may take longer than in the daemon's round. */
const NO_PROGRESS_MS = 60_000
/** After a signal: what is being undone is finished in this time, or left to the next start. */
const STOP_MS = 60_000

export async function recover(context: Context, options: RecoverOptions): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const open = await openRuns(stateDir)
  if (options.run !== undefined && !open.some((o) => o.run === options.run)) {
    const known = open.length === 0 ? 'nothing is to be recovered' : `there is ${open.map((o) => o.run).join(', ')}`
    throw new ConfigError(
      [{ file: 'recover', line: 0, column: 0, path: '--run', message: `no open run ${options.run}; ${known}` }],
      'USAGE',
    )
  }
  const targets = await context.targets()
  const chosen = open.find((o) => o.run === options.run)
  if (options.acceptLoss === true && chosen && options.dryRun !== true) refuseUndamaged(chosen)
  const handOver = await handOverOf(
    options,
    targets.find((t) => t.name === chosen?.target),
    context,
  )
  if (options.byHand !== undefined) {
    refuseForeign(stateDir)
    const [stuck] = await stuckRuns(context, stateDir, new Map([[options.run ?? '', undefined]]))
    if (stuck) return writeByHand(context, options.byHand, stuck, stepsOf(options.step).steps)
    throw new ConfigError(
      [{ file: 'recover', line: 0, column: 0, path: '--by-hand', message: 'its journal does not say what it changed' }],
      'USAGE',
    )
  }
  if (options.dryRun === true) {
    const shown = open.filter((o) => options.run === undefined || o.run === options.run)
    const stuck = await stuckRuns(context, stateDir, new Map(shown.map((o) => [o.run, undefined])))
    return show(context, shown, stuck, options)
  }
  if (await daemonIsUp(stateDir)) return askForIt(context, stateDir, options, handOver)
  if (open.length === 0) {
    // A kill between a run's secret and its journal leaves the secret: whoever holds the folder clears it away.
    if (await findStateDir(stateDir)) {
      const quiet = { command: 'recover', stateDir, experiments: () => [], emit: () => undefined }
      await supervised(context, quiet, ({ supervisor }) =>
        supervisor.recoverAll({ noProgressMs: NO_PROGRESS_MS }),
      ).catch((error: unknown) => {
        if (!(error instanceof CodedError && error.code === 'LOCKED')) throw error
      })
    }
    context.out(options.json === true ? json({ recovered: [], pending: [] }) : 'nothing to recover\n')
    return 0
  }
  const write = (text: string): void => context.err(text)
  const secrets = await storedSecrets(targets, await peekStateDir(stateDir))
  const emit = harmless(
    scrubbed(
      secrets,
      options.json === true ? ndjson(write) : progress({ write: (text) => context.out(text), screen: context }),
    ),
  )
  return supervised(
    context,
    { command: 'recover', stateDir, experiments: () => [], emit },
    async ({ supervisor, state, signals }) => {
      const stopping = stopOnSignal(signals.signal, supervisor, STOP_MS)
      const reports = await supervisor.recoverAll({
        noProgressMs: NO_PROGRESS_MS,
        ...(options.run === undefined ? {} : { only: options.run }),
        ...(handOver === undefined ? {} : { handOver }),
      })
      await stopping.done()
      if (options.acceptLoss === true && options.run !== undefined)
        return showAccepted(context, await acceptLossOf(state, options.run, options.note), options.json === true)
      const pending = supervisor.blocked
      const stuck = await stuckRuns(context, stateDir, reasonsOf(pending, reports))
      if (options.json === true) context.out(json({ recovered: reports, pending, by_hand: stuck.map(shownOf) }))
      else showPages(context, stuck, options)
      return exitCodeOf(reports, pending)
    },
  )
}

/** What the experiment had come to is history; here only the undo counts. */
function exitCodeOf(reports: readonly Report[], pending: readonly Pick<Blocked, 'unreadable'>[]): number {
  const journal = reports.filter((r) => r.exit_code === ERROR_CODES.JOURNAL_WRITE).map((r) => r.exit_code)
  const unreadable = pending.some((run) => run.unreadable) ? [ERROR_CODES.JOURNAL_READ] : []
  return worstExitCode([...journal, ...unreadable, pending.length > 0 ? ERROR_CODES.RESIDUE : 0])
}

/** While a daemon holds the lock, it is the one that recovers. */
async function daemonIsUp(stateDir: string): Promise<boolean> {
  const holder = await holderOf(stateDir)
  return holder.kind !== 'none' && holder.note.control !== undefined
}

interface Recovered {
  recovered: Report[]
  pending: Blocked[]
  accepted?: AcceptedLoss
}

async function askForIt(
  context: Context,
  stateDir: string,
  options: RecoverOptions,
  handOver: HandOver | undefined,
): Promise<number> {
  const request: Request = {
    op: 'recover',
    ...(options.run === undefined ? {} : { run: options.run }),
    ...(handOver === undefined ? {} : { hand_over: handOver }),
    ...(options.acceptLoss === true ? { accept_loss: { note: options.note ?? '' } } : {}),
  }
  const { recovered, pending, accepted } = (await askDaemon(stateDir, request)) as Recovered
  if (accepted) return showAccepted(context, accepted, options.json === true)
  const stuck = await stuckRuns(context, stateDir, reasonsOf(pending, recovered))
  if (options.json === true) context.out(json({ recovered, pending, by_hand: stuck.map(shownOf) }))
  else {
    if (recovered.length + pending.length === 0) context.out('nothing to recover\n')
    for (const report of recovered)
      context.out(`${report.run} (${visible(report.experiment)})  ${summaryLines(report, plain).join('\n')}\n`)
    for (const { run, endpoint, pending: steps, reason } of visibleData(pending))
      context.out(`not undone: ${run} on ${endpoint}, ${counted(steps, 'step')}: ${reason}\n`)
    showPages(context, stuck, options)
  }
  return exitCodeOf(recovered, pending)
}

interface OpenRun {
  run: string
  /** Its journal. */
  file: string
  experiment: string
  target: string
  endpoint: string
  started_at: string
  steps: { step: number; skill: string; resource: string; describe: string; state: string }[]
  damage: Damage[]
}

/** Read from the journals alone; nothing is changed, not even a torn tail. */
async function openRuns(stateDir: string): Promise<OpenRun[]> {
  const { runs } = await peekStateDir(stateDir)
  return (await runs.list()).flatMap((journal) => {
    const { started, damage } = journal
    // A damaged start says neither where nor what; it is still something for a person to put right.
    if (!started && damage.length === 0) return []
    const steps = pendingSteps(journal)
    return [
      {
        run: journal.run,
        file: runs.where(journal.run),
        experiment: started?.experiment ?? '',
        target: started?.target ?? '',
        endpoint: started?.endpoint ?? '',
        started_at: started?.at ?? '',
        steps: steps
          .reverse()
          .map(({ step, skill, resource, describe, state }) => ({ step, skill, resource, describe, state })),
        damage,
      },
    ]
  })
}

function show(context: Context, open: OpenRun[], stuck: StuckRun[], options: RecoverOptions): number {
  const unreadable = open.some((o) => o.damage.some((d) => d.unreadable))
  const pending = open.some((o) => o.steps.length > 0 || o.damage.length > 0)
  const exitCode = unreadable ? ERROR_CODES.JOURNAL_READ : pending ? ERROR_CODES.RESIDUE : 0
  if (options.json === true) {
    context.out(json({ pending: open, by_hand: stuck.map(shownOf) }))
    return exitCode
  }
  if (open.length === 0) context.out('nothing to recover\n')
  for (const o of visibleData(open)) {
    context.out(
      `run ${o.run} (${o.experiment}) on ${o.endpoint}, started ${o.started_at}: ${counted(o.steps.length, 'step')} to undo\n`,
    )
    for (const s of o.steps) context.out(`  ${s.step}. ${s.skill} ${s.describe} (${s.state})\n`)
    for (const d of o.damage)
      context.out(d.unreadable || d.foreign ? `  ${d.reason}\n` : `  damaged at byte ${d.offset}: ${d.reason}\n`)
  }
  showPages(context, stuck, options)
  return exitCode
}
