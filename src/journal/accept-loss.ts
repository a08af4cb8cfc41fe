/**
 * An operator's word that what is unreadable in a journal may be lost. What was readable has been undone before; the
 * damaged files and the secret are kept aside, the run is over, and its target may be used again.
 */
import { basename } from 'node:path'
import { JournalError, RefusedError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { forgetRun } from './forget.ts'
import type { History } from './history.ts'
import { pendingSteps } from './journal.ts'
import type { RunState } from './journal.ts'
import type { Runs } from './runs.ts'
import type { Secrets } from './secrets.ts'

/** Where the parts of a run are kept. */
export interface Kept {
  runs: Runs
  secrets: Secrets
  history: History
}

export interface Loss {
  run: string
  /** Why the operator thinks so; for the report. */
  note: string
  now: number
}

/**
 * Ends a run whose journal is damaged: it gets its report, its journal and its secret are kept aside (returned). Throws
 * RefusedError when it is not damaged, or what is readable in it is not undone yet, and JOURNAL_READ when it cannot be
 * read: then nobody knows whether it is damaged.
 */
export async function acceptLoss(kept: Kept, loss: Loss): Promise<{ report: Report; aside: string[] }> {
  const { runs, secrets, history } = kept
  const { run, now } = loss
  const damaged = (await runs.list(run))[0] ?? (await runs.read(run))
  refuseAccepting(damaged)
  const before = await history.read(run).catch(() => undefined)
  const report = reportOfLoss(damaged, before, loss, (...of) => runs.where(...of))
  await history.keep(report, { ofUndo: true })
  const aside = [...(await runs.setAside(run, now)), ...(await secrets.setAside(run, now))]
  await forgetRun(kept, run)
  return { report, aside }
}

/** Throws RefusedError where there is no loss to accept; JOURNAL_READ where nobody knows, because it cannot be read. */
export function refuseUndamaged({ run, damage }: Pick<RunState, 'run' | 'damage'>): void {
  const hidden = damage.find((one) => one.unreadable)
  if (hidden) {
    throw new JournalError(
      'JOURNAL_READ',
      `the journal of run ${run} is not known to be damaged, it cannot be read: nothing of it is given up. ${hidden.reason}`,
    )
  }
  const whole = damage.find((one) => one.foreign?.there === false)
  if (whole) throw new RefusedError('REFUSED_UNSUITABLE', `the journal of run ${run} is not damaged: ${whole.reason}`)
  if (damage.length === 0) {
    throw new RefusedError(
      'REFUSED_UNSUITABLE',
      `the journal of run ${run} is not damaged: there is no loss to accept. chaos recover --run ${run} undoes it`,
    )
  }
}

/** Throws what `refuseUndamaged` throws, and RefusedError where something can be undone first. */
function refuseAccepting(state: RunState): void {
  refuseUndamaged(state)
  const { run, started, steps } = state
  const pending = pendingSteps({ steps })
  // A journal without its start does not say on which target to undo them: they are part of the loss.
  if (!started || pending.length === 0) return
  throw new RefusedError(
    'BLOCKED_BY_RESIDUE',
    `run ${run} has ${pending.length} readable steps that are not undone yet (${pending.map((s) => s.describe).join('; ')}): only what is unreadable can be accepted. chaos recover --run ${run} says what keeps them`,
  )
}

/** The report of a run whose loss was accepted: the one it had, or what can still be said. */
function reportOfLoss(
  state: RunState,
  before: Report | undefined,
  { run, note, now }: Loss,
  where: Runs['where'],
): Report {
  const at = new Date(now).toISOString()
  const { started, damage, steps } = state
  const lost = damage.map((d) => `${basename(where(run, d.part))} at byte ${d.offset} (${d.reason})`)
  const unknown = started ? [] : pendingSteps(state).map((s) => `not undone, its target is not known: ${s.describe}`)
  const text = note === '' ? '' : `: ${note}`
  const notes = [`an operator accepted at ${at} that this is lost: ${lost.join(', ')}${text}`, ...unknown]
  if (before) return { ...before, residue: [], notes: [...before.notes, ...notes] }
  return {
    ...{ run, experiment: started?.experiment ?? '', target: started?.target ?? '', endpoint: started?.endpoint ?? '' },
    ...{ seed: started?.seed ?? '', outcome: state.undo?.outcome ?? 'failed', reason: 'its journal is damaged' },
    ...{ recovered: true, started_at: started?.at ?? at, finished_at: at, soak_ms: started?.soak_ms ?? 0, residue: [] },
    steps: steps.map(({ step, skill, resource, describe, state: now }) => ({
      step,
      skill,
      resource,
      describe,
      state: now,
    })),
    ...{ notes, exit_code: 5 },
  }
}
