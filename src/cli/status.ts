/** `chaos status`: is it up, and is everything put back? Exit code 0 up and clean, 4 pending undo, 1 no daemon. */
import { basename } from 'node:path'
import { counted } from '../core/counted.ts'
import { CodedError, ERROR_CODES } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import type { DaemonStatus } from '../core/status.ts'
import { askDaemon } from '../daemon/control.ts'
import { isAlive, readHolder } from '../daemon/lock.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { RunState } from '../journal/journal.ts'
import { frozenNow, openOrders } from '../journal/orders.ts'
import type { Orders } from '../journal/orders.ts'
import { peekStateDir } from '../journal/state-dir.ts'
import { json, stateDirOf } from './context.ts'
import type { Context } from './context.ts'
import { pageCommand } from './page.ts'
import { daemonLines, quarantinedText } from './status-lines.ts'

const NO_DAEMON = 1
/** A daemon that is too busy to answer is still described by its files. */
const ANSWER_MS = 3_000

export async function status(context: Context, options: { stateDir?: string; json?: boolean }): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const state = await peekStateDir(stateDir)
  const note = await readHolder(stateDir)
  const holder = note && (await isAlive(note)) ? note : undefined
  const journals = (await state.journals()).filter((j) => j.started !== undefined || j.damage.length > 0)
  const workers = new Set<string>()
  for (const worker of note?.workers ?? []) if (await isAlive(worker)) workers.add(worker.run)
  const runs = journals.map((j) => ({
    run: basename(j.file, '.jsonl'),
    experiment: j.started?.experiment ?? '',
    endpoint: j.started?.endpoint ?? '',
    started_at: j.started?.at ?? '',
    steps_to_undo: pendingSteps(j).length,
    quarantined: pendingSteps(j).flatMap(({ step, quarantined }) => (quarantined ? [step] : [])),
    failed: pendingSteps(j).some((s) => (s.quarantined?.error ?? s.revert_error) !== undefined),
    damaged: j.damage.length > 0,
    ...unreadableIn(j),
  }))
  const daemon = holder?.control === undefined ? undefined : await answerOf(stateDir)
  const { frozen } = daemon ?? { frozen: frozenNow((await openOrders(stateDir, Date.now())).current, Date.now()) }
  const files: Files = {
    up: holder ? { command: holder.command, pid: holder.pid, started_at: holder.started_at } : null,
    running: runs.filter((r) => workers.has(r.run)),
    pending: runs.filter((r) => !workers.has(r.run) && (r.steps_to_undo > 0 || r.damaged)),
    last: await lastReport(state),
  }
  const exitCode = files.pending.length > 0 ? ERROR_CODES.RESIDUE : files.up ? 0 : NO_DAEMON
  if (options.json === true) {
    context.out(json({ ...files, state_dir: stateDir, frozen, daemon, exit_code: exitCode }))
    return exitCode
  }
  for (const line of [...linesOf(files, frozen, daemon, options.stateDir), ...(daemon ? daemonLines(daemon) : [])])
    context.out(`${line}\n`)
  return exitCode
}

interface Files {
  up: { command: string; pid: number; started_at: string } | null
  running: OpenRun[]
  pending: OpenRun[]
  last: Report | undefined
}

interface OpenRun {
  run: string
  experiment: string
  endpoint: string
  started_at: string
  steps_to_undo: number
  /** Steps whose undo is not tried any more until a person says so. */
  quarantined: number[]
  /** An undo of it has been tried, and did not succeed. */
  failed: boolean
  damaged: boolean
  /** Why its journal cannot be read, and what lets it be read; absent where it can. */
  unreadable?: string
}

function unreadableIn({ damage }: RunState): Pick<OpenRun, 'unreadable'> {
  const hidden = damage.find((one) => one.unreadable)
  return hidden ? { unreadable: hidden.reason } : {}
}

/** What anybody can read from the state folder. */
function linesOf(
  { up, running, pending, last }: Files,
  frozen: Orders['frozen'],
  daemon: DaemonStatus | undefined,
  given: string | undefined,
): string[] {
  const phase = (run: string): string => {
    const found = daemon?.running.find((r) => r.run === run)
    if (!found) return ''
    return `, ${found.phase}${found.soak_ends === undefined ? '' : ` until ${found.soak_ends}`}, ${found.steps_done} of ${counted(found.steps_total, 'step')}`
  }
  return [
    up ? `chaos ${up.command} is up (pid ${up.pid}, since ${up.started_at})` : 'no daemon is up',
    ...(frozen
      ? [
          `frozen since ${frozen.since}${frozen.until === undefined ? '' : ` until ${frozen.until}`}: ${frozen.reason}; chaos unfreeze ends that`,
        ]
      : []),
    ...running.map((r) => `running: ${r.run} (${r.experiment}) on ${r.endpoint}, since ${r.started_at}${phase(r.run)}`),
    ...pending.map((r) =>
      r.unreadable === undefined
        ? `not undone: ${r.run} (${r.experiment}) on ${r.endpoint}, ${counted(r.steps_to_undo, 'step')}${quarantinedText(r.quarantined)}; ${r.failed ? `what to do: ${pageCommand(r.run, given)}` : 'chaos recover undoes them'}`
        : `not undone: ${r.run}, its journal may be whole and is not known: ${r.unreadable}`,
    ),
    ...(pending.length === 0 ? ['nothing is left to undo'] : []),
    ...(last ? [`last run: ${last.run} (${last.experiment}) ${last.outcome}, residue ${last.residue.length}`] : []),
  ]
}

async function answerOf(stateDir: string): Promise<DaemonStatus | undefined> {
  try {
    return (await askDaemon(stateDir, { op: 'status' }, { timeoutMs: ANSWER_MS })) as DaemonStatus
  } catch (error) {
    if (error instanceof CodedError) return undefined
    throw error
  }
}

async function lastReport(state: Awaited<ReturnType<typeof peekStateDir>>): ReturnType<typeof state.report> {
  for (const run of (await state.reports()).reverse()) {
    // One that is damaged is told by `chaos report`; here it must not hide what is left to undo.
    const report = await state.report(run).catch(() => undefined)
    if (report) return report
  }
  return undefined
}
