/**
 * An operator's word that what is unreadable in a journal may be lost. What was readable has been undone before; the
 * damaged files and the secret are kept aside, the run is over, and its target may be used again.
 */
import { basename, dirname, join } from 'node:path'
import { JournalError, messageOf, RefusedError } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import type { Disk } from './disk.ts'
import { pendingSteps } from './journal.ts'
import type { RunState } from './journal.ts'
import { partFile, partsOf } from './parts.ts'

export interface Loss {
  run: string
  /** Why the operator thinks so; for the report. */
  note: string
  now: number
}

/** How a file that was set aside ends, with when: no reader takes it for a journal, and it goes with old reports. */
export const ASIDE = /\.damaged-(\d+)$/

/** Throws RefusedError where there is no loss to accept; JOURNAL_READ where nobody knows, because it cannot be read. */
export function refuseUndamaged({ file, damage }: Pick<RunState, 'file' | 'damage'>): void {
  const run = basename(file, '.jsonl')
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
export function refuseAccepting(state: RunState): void {
  refuseUndamaged(state)
  const { file, started, steps } = state
  const run = basename(file, '.jsonl')
  const pending = pendingSteps({ steps })
  // Without its start nobody knows where they would have to be undone: they are part of the loss.
  if (!started || pending.length === 0) return
  throw new RefusedError(
    'BLOCKED_BY_RESIDUE',
    `run ${run} has ${pending.length} readable steps that are not undone yet (${pending.map((s) => s.describe).join('; ')}): only what is unreadable can be accepted. chaos recover --run ${run} says what keeps them`,
  )
}

/** The report of a run whose loss was accepted: the one it had, or what can still be said. */
export function reportOfLoss(state: RunState, before: Report | undefined, { run, note, now }: Loss): Report {
  const at = new Date(now).toISOString()
  const { started, damage, steps } = state
  const where = damage.map((d) => `${basename(partFile(state.file, d.part ?? 1))} at byte ${d.offset} (${d.reason})`)
  const unknown = started ? [] : pendingSteps(state).map((s) => `not undone, its target is not known: ${s.describe}`)
  const text = note === '' ? '' : `: ${note}`
  const notes = [`an operator accepted at ${at} that this is lost: ${where.join(', ')}${text}`, ...unknown]
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

/** What the run connected with, beside its journal: who finds the journal readable after all needs it. */
export async function keepAside(folder: string, run: string, disk: Disk, now: number): Promise<string[]> {
  const to = join(folder, `${run}.damaged-${now}`)
  try {
    if (!(await disk.list(folder)).includes(run)) return []
    await disk.rename(join(folder, run), to)
    await disk.syncFolder(folder)
    return [to]
  } catch (error) {
    throw new JournalError('JOURNAL_WRITE', `cannot set ${to} aside: ${messageOf(error)}`, { cause: error })
  }
}

/** Renames every file of the run, the first one last, so that a crash in between leaves a run that is still damaged. */
export async function setAside(file: string, disk: Disk, now: number): Promise<string[]> {
  const aside: string[] = []
  try {
    for (const part of (await partsOf(file, disk)).reverse()) {
      const from = partFile(file, part)
      const to = join(dirname(file), `${basename(from)}.damaged-${now}`)
      await disk.rename(from, to)
      aside.push(to)
    }
    await disk.syncFolder(dirname(file))
    return aside
  } catch (error) {
    throw new JournalError('JOURNAL_WRITE', `cannot set ${file} aside: ${messageOf(error)}`, { cause: error })
  }
}
