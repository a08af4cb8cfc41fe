/**
 * `chaos status`: is it up, what is in place, and is everything else put back? Exit code 0 up and running normally, 4
 * something is not undone or is in place while nobody runs it normally, 1 no daemon, or nobody answers.
 */
import { counted } from '../../core/counted.ts'
import { visibleData } from '../../core/foreign.ts'
import { CodedError, ERROR_CODES } from '../../core/errors.ts'
import type { Report } from '../../core/report.ts'
import type { DaemonStatus } from '../../core/status.ts'
import { askDaemon } from '../../daemon/control/client.ts'
import { holderOf } from '../../supervisor/holder.ts'
import type { Holder } from '../../supervisor/holder.ts'
import { isAlive } from '../../supervisor/lock.ts'
import { elsewhereText } from '../../supervisor/pid-namespace.ts'
import { pendingSteps } from '../../journal/journal.ts'
import type { RunState } from '../../journal/journal.ts'
import { openOrders } from '../../journal/file-orders.ts'
import { frozenNow } from '../../journal/orders.ts'
import type { StandingOrders } from '../../journal/orders.ts'
import type { History } from '../../journal/history.ts'
import { peekStateDir } from '../../journal/state-dir.ts'
import { json, stateDirOf } from '../context.ts'
import type { Context } from '../context.ts'
import { pageCommand } from '../recover/page.ts'
import { daemonLines, quarantinedText } from './status-lines.ts'

const NO_DAEMON = 1

export async function status(context: Context, options: { stateDir?: string; json?: boolean }): Promise<number> {
  const stateDir = stateDirOf(options.stateDir, context.env)
  const { runs: journals, history } = await peekStateDir(stateDir)
  const holder = await holderOf(stateDir)
  const { daemon, silence } = await answerOf(stateDir, holder)
  const runs = (await journals.list()).filter((j) => j.started !== undefined || j.damage.length > 0).map(openRun)
  const alive = await aliveIn(holder, daemon)
  const normal = (run: OpenRun): boolean => alive.has(run.run) && !isLeft(run, holder, daemon)
  const { frozen } = daemon ?? { frozen: frozenNow((await openOrders(stateDir, Date.now())).current, Date.now()) }
  const files: Files = {
    up: holder.kind === 'none' ? null : upOf(holder),
    running: runs.filter(normal),
    pending: runs.filter((r) => !normal(r) && (r.steps_to_undo > 0 || r.damaged)),
    last: await lastReport(history),
  }
  const inPlace = files.running.reduce((sum, { steps_to_undo: steps }) => sum + steps, 0)
  const exitCode = exitCodeOf(files, inPlace, daemon, silence)
  if (options.json === true) {
    const told = { ...files, faults_in_place: inPlace, ...(silence === undefined ? {} : { silence }) }
    context.out(json({ ...told, state_dir: stateDir, frozen, daemon, exit_code: exitCode }))
    return exitCode
  }
  const lines = linesOf(files, { inPlace, frozen, daemon, silence, holder, given: options.stateDir })
  for (const line of [...lines, ...(daemon ? daemonLines(daemon) : [])]) context.out(`${line}\n`)
  return exitCode
}

/** What is in place is undone by whoever runs it normally; in every other case a person has to know. */
function exitCodeOf(
  { up, pending }: Files,
  inPlace: number,
  daemon: DaemonStatus | undefined,
  silence: string | undefined,
): number {
  const unsure = daemon?.stopping !== undefined || silence !== undefined
  if (pending.length > 0 || (inPlace > 0 && unsure)) return ERROR_CODES.RESIDUE
  return up && silence === undefined ? 0 : NO_DAEMON
}

interface Files {
  up: { command: string; pid: number; started_at: string; elsewhere?: true } | null
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

function openRun(journal: RunState): OpenRun {
  const { run, started, damage } = journal
  const steps = pendingSteps(journal)
  const hidden = damage.find((one) => one.unreadable)
  return {
    run,
    experiment: started?.experiment ?? '',
    endpoint: started?.endpoint ?? '',
    started_at: started?.at ?? '',
    steps_to_undo: steps.length,
    quarantined: steps.flatMap(({ step, quarantined }) => (quarantined ? [step] : [])),
    failed: steps.some((s) => (s.quarantined?.error ?? s.revert_error) !== undefined),
    damaged: damage.length > 0,
    ...(hidden ? { unreadable: hidden.reason } : {}),
  }
}

function upOf({ kind, note }: Exclude<Holder, { kind: 'none' }>): Files['up'] {
  const { command, pid, started_at } = note
  return { command, pid, started_at, ...(kind === 'elsewhere' ? { elsewhere: true } : {}) }
}

/** Runs with a worker that lives. Where its pid counts elsewhere, only the daemon knows. */
async function aliveIn({ kind, note }: Holder, daemon: DaemonStatus | undefined): Promise<Set<string>> {
  if (kind === 'elsewhere') return new Set(daemon?.running.map(({ run }) => run))
  const alive = new Set<string>()
  for (const worker of note?.workers ?? []) if (await isAlive(worker)) alive.add(worker.run)
  return alive
}

/** Whether its worker undoes what an earlier process, or an earlier attempt, has left. */
function isLeft({ run, started_at }: OpenRun, holder: Holder, daemon: DaemonStatus | undefined): boolean {
  if (daemon) return daemon.blocked.some((blocked) => blocked.run === run)
  return holder.kind === 'here' && Date.parse(started_at) < Date.parse(holder.note.started_at)
}

interface Around {
  inPlace: number
  frozen: StandingOrders['frozen']
  daemon: DaemonStatus | undefined
  silence: string | undefined
  holder: Holder
  given: string | undefined
}

/** What anybody can read from the state folder. */
function linesOf(files: Files, around: Around): string[] {
  const { up, running, pending, last } = visibleData(files)
  const { inPlace, daemon, given } = around
  const frozen = visibleData(around.frozen)
  const phase = (run: string): string => {
    const found = daemon?.running.find((r) => r.run === run)
    if (!found) return ''
    return `, ${found.phase}${found.soak_ends === undefined ? '' : ` until ${found.soak_ends}`}, ${found.steps_done} of ${counted(found.steps_total, 'step')}`
  }
  return [
    upLine(up, around),
    ...(frozen
      ? [
          `frozen since ${frozen.since}${frozen.until === undefined ? '' : ` until ${frozen.until}`}: ${frozen.reason}; chaos unfreeze ends that`,
        ]
      : []),
    ...running.map((r) => `running: ${r.run} (${r.experiment}) on ${r.endpoint}, since ${r.started_at}${phase(r.run)}`),
    ...(inPlace > 0 ? [`${counted(inPlace, 'fault')} in place`] : []),
    ...pending.map((r) => pendingLine(r, given)),
    ...(inPlace === 0 && pending.length === 0 ? ['nothing is left to undo'] : []),
    ...(last ? [`last run: ${last.run} (${last.experiment}) ${last.outcome}, residue ${last.residue.length}`] : []),
  ]
}

function upLine(up: Files['up'], { silence, holder }: Around): string {
  if (!up) return 'no daemon is up'
  const trouble = silence === undefined ? '' : `: ${silence}`
  if (holder.kind === 'elsewhere') return `${elsewhereText(holder.note)} holds the state folder${trouble}`
  const state = silence === undefined ? 'is up' : 'does not answer'
  return `chaos ${up.command} ${state} (pid ${up.pid}, since ${up.started_at})${trouble}`
}

function pendingLine(r: OpenRun, given: string | undefined): string {
  if (r.unreadable !== undefined)
    return `not undone: ${r.run}, its journal may be whole and is not known: ${r.unreadable}`
  const what = r.failed ? `what to do: ${pageCommand(r.run, given)}` : 'chaos recover undoes them'
  return `not undone: ${r.run} (${r.experiment}) on ${r.endpoint}, ${counted(r.steps_to_undo, 'step')}${quarantinedText(r.quarantined)}; ${what}`
}

/** A daemon that has no control socket yet is only starting. */
async function answerOf(
  stateDir: string,
  holder: Holder,
): Promise<{ daemon: DaemonStatus | undefined; silence: string | undefined }> {
  if (holder.kind === 'none' || holder.note.control === undefined) return { daemon: undefined, silence: undefined }
  try {
    return { daemon: (await askDaemon(stateDir, { op: 'status' })) as DaemonStatus, silence: undefined }
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    // It may have ended since; then it is described by its files.
    const still = await holderOf(stateDir)
    return { daemon: undefined, silence: still.kind === 'none' ? undefined : error.message }
  }
}

async function lastReport(history: History): Promise<Report | undefined> {
  for (const run of (await history.list()).reverse()) {
    // One that is damaged is told by `chaos report`; here it must not hide what is left to undo.
    const report = await history.read(run).catch(() => undefined)
    if (report) return report
  }
  return undefined
}
