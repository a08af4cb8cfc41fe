/** Puts a digest together from what the state folder remembers. */
import type { Digest, Slower } from '../core/digest.ts'
import type { Outcome, Report } from '../core/report.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { SlotLog, SlotRecord } from '../journal/due-log.ts'
import type { History } from '../journal/history.ts'
import type { Runs } from '../journal/runs.ts'

/** Slower than before is what takes this many times as long, and this much longer: less is weather. */
const SLOWER_FACTOR = 1.5
const SLOWER_MS = 1_000
/** How long a run may have been open before the time of the digest in which it ended. */
const LONGEST_OPEN_MS = 7 * 24 * 3_600_000

export interface DigestSources {
  runs: Runs
  history: History
  slots: SlotLog
  /** Milliseconds since the epoch. */
  since: number
  until: number
  /** Runs that are under way: what they still have to undo is not pending. */
  running: ReadonlySet<string>
  next?: Digest['next']
}

export async function readDigest(sources: DigestSources): Promise<Digest> {
  const { runs, history, slots, since, until, running, next = [] } = sources
  const journals = await runs.list()
  const pending = journals.flatMap((journal) => {
    const { run } = journal
    const steps = pendingSteps(journal).length
    if (running.has(run) || (steps === 0 && journal.damage.length === 0)) return []
    const { experiment = '', endpoint = '', at = '' } = journal.started ?? {}
    return [{ run, experiment, endpoint, started_at: at, steps }]
  })
  const reports = await readReports(history, since)
  return { ...digestOf(reports, await slots.read(since), pending, since, until), next }
}

/** `reports` in any order; those from before `since` are what the others are compared with. */
export function digestOf(
  reports: readonly Report[],
  slots: readonly SlotRecord[],
  pending: Digest['pending'],
  since: number,
  until: number,
): Digest {
  const within = (at: string): boolean => Date.parse(at) >= since && Date.parse(at) < until
  const sorted = [...reports].sort((a, b) => Date.parse(a.finished_at) - Date.parse(b.finished_at))
  const ended = sorted.filter((report) => within(report.finished_at))
  return {
    since: new Date(since).toISOString(),
    until: new Date(until).toISOString(),
    ran: grouped(ended, (report) => report.outcome).map(([outcome, of]) => ({ outcome, ...counted(of) })),
    notable: ended.filter(isNotable).map((report) => ({
      run: report.run,
      experiment: report.experiment,
      outcome: report.outcome,
      recovered: report.recovered,
      residue: report.residue.length,
      kept: keptIn(report),
      ...(report.reason === undefined ? {} : { reason: report.reason }),
    })),
    skipped: skippedIn(slots.filter((record) => within(record.at))),
    slower: ended.flatMap((report) => slowerThanBefore(report, sorted)),
    pending,
    next: [],
  }
}

/** Newest first, back to where every experiment of the time has something to be compared with. */
async function readReports(history: History, since: number): Promise<Report[]> {
  const found: Report[] = []
  const uncompared = new Set<string>()
  const seen = new Set<string>()
  for (const run of (await history.list()).reverse()) {
    // One that cannot be read is left to a person, and does not keep the others from being told.
    const report = await history.read(run).catch(() => undefined)
    if (!report) continue
    const { experiment } = report
    const ended = Date.parse(report.finished_at)
    if (ended >= since) {
      found.push(report)
      if (!seen.has(experiment)) uncompared.add(experiment)
      seen.add(experiment)
    } else if (uncompared.has(experiment) && isClean(report)) {
      found.push(report)
      uncompared.delete(experiment)
    }
    if (uncompared.size === 0 && Date.parse(report.started_at) < since - LONGEST_OPEN_MS) break
  }
  return found
}

function grouped<T, K>(entries: readonly T[], key: (entry: T) => K): [K, T[]][] {
  const groups = new Map<K, T[]>()
  for (const entry of entries) groups.set(key(entry), [...(groups.get(key(entry)) ?? []), entry])
  return [...groups].sort(([, a], [, b]) => b.length - a.length)
}

function counted(entries: readonly { experiment: string }[]): { count: number; experiments: string[] } {
  return { count: entries.length, experiments: [...new Set(entries.map((e) => e.experiment))].sort() }
}

/** What a person should look at. */
const FINE: readonly Outcome[] = ['completed', 'aborted']

function isNotable(report: Report): boolean {
  return !FINE.includes(report.outcome) || report.recovered || report.residue.length > 0 || keptIn(report) > 0
}

function keptIn({ steps }: Report): number {
  return steps.reduce((sum, step) => sum + (step.kept ?? 0), 0)
}

function skippedIn(slots: readonly SlotRecord[]): Digest['skipped'] {
  const skips = slots.flatMap(({ experiment, slot, skipped }) => (skipped ? [{ experiment, slot, ...skipped }] : []))
  return grouped(skips, (skip) => skip.cause).flatMap(([cause, of]) => {
    const last = of.at(-1)
    return last ? [{ cause, ...counted(of), last: { slot: last.slot, reason: last.reason } }] : []
  })
}

function isClean({ residue, steps }: Report): boolean {
  return residue.length === 0 && steps.some((step) => step.state === 'reverted')
}

/** `sorted` by their end. */
function slowerThanBefore(report: Report, sorted: readonly Report[]): Slower[] {
  const earlier = sorted.slice(0, sorted.indexOf(report)).filter((r) => r.experiment === report.experiment)
  const before = earlier.findLast(isClean)
  if (!before || !isClean(report)) return []
  const slower = (what: Slower['what'], ms?: number, before_ms?: number): Slower[] =>
    ms === undefined || before_ms === undefined || ms < before_ms * SLOWER_FACTOR || ms - before_ms < SLOWER_MS
      ? []
      : [{ run: report.run, experiment: report.experiment, what, ms, before_ms, before_run: before.run }]
  const undo = slower('undo', undoMs(report), undoMs(before))
  // Whoever hears that the undo was slow need not hear that the run was.
  return undo.length > 0 ? undo : slower('around', aroundMs(report), aroundMs(before))
}

function undoMs({ steps }: Report): number {
  return steps.reduce((sum, step) => sum + (step.revert_ms ?? 0), 0)
}

/** Of a run that nobody cut short: connecting, planning, applying, waiting for what is busy, undoing. */
function aroundMs(report: Report): number | undefined {
  if (report.outcome !== 'completed' || report.recovered) return undefined
  return Math.max(0, Date.parse(report.finished_at) - Date.parse(report.started_at) - report.soak_ms)
}
