/** The end of every run, ordinary or recovered: roll back, write the report, and only when nothing is pending close the journal. */
import { JournalError, messageOf } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Outcome, Report } from '../core/report.ts'
import { readJournal } from '../journal/file-journal.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { RunStarted, RunState } from '../journal/journal.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { reportOf } from './report.ts'
import { rollback } from './rollback.ts'
import type { RollbackInput } from './rollback.ts'

export interface EndInput extends Omit<RollbackInput, 'run' | 'file' | 'reason'> {
  started: Started
  state: StateDir
  outcome: Outcome
  /** Why it is not `completed`. */
  reason?: string
  code?: ErrorCode
  recovered: boolean
}

export type Started = RunStarted & { at: string }

/** Never throws. */
export async function endRun(input: EndInput): Promise<Report> {
  const { state, journal, clock, emit } = input
  const { run } = input.started
  const file = state.journalFile(run)
  const result = await rollback({ ...input, run, file, reason: input.reason ?? 'the soak is over' })
  const after = await readJournal(file)
  let failure = result.journalError ?? damageOf(after)
  const report = (): Report => {
    const ending = { ...input, residue: result.residue, journalFailed: failure !== undefined }
    const made = reportOf(input.started, after, ending, clock.now())
    return failure && made.reason === undefined ? { ...made, reason: messageOf(failure) } : made
  }
  try {
    await state.writeReport(report())
    if (!failure && result.residue.length === 0 && pendingSteps(after).length === 0) {
      await journal.append({ type: 'run.finished', outcome: input.outcome }, { durable: true })
      await journal.close()
      await state.forget(run)
    }
  } catch (error) {
    failure ??= error as Error
  }
  const final = report()
  emit({ type: 'run.finished', report: final })
  return final
}

/** What was readable is undone; what was not may have been a step, so a person has to look before this target is used again. */
function damageOf({ file, damage }: RunState): JournalError | undefined {
  const [first] = damage
  if (!first) return undefined
  return new JournalError(
    'JOURNAL_READ',
    `${file} is damaged at byte ${first.offset} (${first.reason}); everything readable is undone. Check the target, then move the file away`,
  )
}
