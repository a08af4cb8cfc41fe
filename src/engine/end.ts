/** The end of every run, ordinary or recovered: roll back, write the report, and only when nothing is pending close the journal. */
import { JournalError, messageOf } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Facts } from '../core/facts.ts'
import type { Outcome, Report } from '../core/report.ts'
import { forgetRun } from '../journal/forget.ts'
import { notRead } from '../journal/read-journal.ts'
import type { Mask } from '../core/filled.ts'
import { pendingSteps, unreadState } from '../journal/journal.ts'
import type { RunStarted, RunState } from '../journal/journal.ts'
import type { History } from '../journal/history.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'
import { observedOutcome } from './observed-outcome.ts'
import { reportOf } from './report.ts'
import { rollback } from './rollback.ts'
import type { RollbackInput } from './rollback.ts'

export interface EndInput extends Omit<RollbackInput, 'run' | 'reason'> {
  started: Started
  secrets: Secrets
  history: History
  outcome: Outcome
  /** Why it is not `completed`. */
  reason?: string
  code?: ErrorCode
  about?: Facts
  recovered: boolean
  /** What the report may not show; a recovery does not know any more. */
  mask?: Mask
}

export type Started = RunStarted & { at: string }

/** Never throws. */
export async function endRun(input: EndInput): Promise<Report> {
  const { runs, history, journal, clock, emit } = input
  const { run } = input.started
  const result = await rollback({ ...input, run, reason: input.reason ?? 'the soak is over' })
  const after = await runs.read(run).catch((error: unknown) => unreadState(run, notRead(error, runs.where(run))))
  // What could be recorded elsewhere is no reason to keep the run open, but the command says that the disk has failed.
  const unrecorded = result.journalError ?? damageOf(after, runs)
  let failure = unrecorded ?? journal.failure
  if (failure) emit({ type: 'run.warning', code: 'journal', message: messageOf(failure) })
  const observed = observedOutcome(input, after.steps)
  const report = (): Report => {
    const ending = { ...input, ...observed, residue: result.residue, journalFailed: failure !== undefined }
    const made = reportOf(input.started, after, ending, clock.now())
    const whole = failure && made.reason === undefined ? { ...made, reason: messageOf(failure) } : made
    return input.mask ? input.mask.data(whole) : whole
  }
  const fail = (error: unknown): void => {
    emit({ type: 'run.warning', code: 'journal', message: messageOf(error) })
    failure ??= error as Error
  }
  try {
    await history.keep(report(), { ofUndo: true })
    if (!unrecorded && result.residue.length === 0 && pendingSteps(after).length === 0) {
      await journal.append({ type: 'run.finished', outcome: observed.outcome }, { durable: true })
      if (journal.failure && !failure) {
        // It broke under this very record, which stands in another file now.
        fail(journal.failure)
        await history.keep(report(), { ofUndo: true })
      }
      await forgetRun(input, run)
    }
  } catch (error) {
    fail(error)
  } finally {
    await journal.close().catch(() => undefined)
  }
  const final = report()
  emit({ type: 'run.finished', report: final, ...(journal.totals ? { journal: journal.totals } : {}) })
  return final
}

/** What was readable is undone; what was not may have been a step, so a person has to look before this target is used again. */
function damageOf({ run, damage }: RunState, runs: Runs): JournalError | undefined {
  const hidden = damage.find((one) => one.unreadable)
  if (hidden) {
    const later = `everything that can be read is undone. chaos recover --run ${run} goes on once the rest can be read`
    return new JournalError('JOURNAL_READ', `${hidden.reason}; ${later}`)
  }
  const [first] = damage
  if (!first) return undefined
  const where = `${runs.where(run, first.part)} is damaged at byte ${first.offset} (${first.reason})`
  return new JournalError(
    'JOURNAL_READ',
    `${where}; everything readable is undone. Check the target, then chaos recover --run ${run} --accept-loss --note WHY`,
  )
}
