/**
 * Rollback: the only caller of revert. Ordinary rollback and crash recovery are this one function; what is to be undone
 * is read from the journal file, never from memory.
 */
import type { Clock } from '../core/clock.ts'
import { CodedError, messageOf, RollbackError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Observed } from '../core/observed.ts'
import type { StepView } from '../core/plan-view.ts'
import type { Outcome } from '../core/report.ts'
import type { Holdable, Inspection } from '../core/skill.ts'
import type { Agent } from '../core/target.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { Journal, JournalRecord, StepState } from '../journal/journal.ts'
import { whyNotTried } from '../journal/quarantine.ts'
import type { StateDir } from '../journal/state-dir.ts'
import { observe } from './observe.ts'

export interface RollbackInput {
  run: string
  /** Where its journal is read again. */
  state: StateDir
  journal: Journal
  agent: Agent
  clock: Clock
  /** Why, and what the run has come to so far. */
  reason: string
  outcome: Outcome
  /** Sessions and the like this process keeps open for the run; empty in recovery. */
  held: Holdable[]
  /** An undo that makes no progress for so long is given up for now and stays in the journal. */
  noProgressMs: number
  /** Which start of the machine this is: an undo that has killed too many workers in it is not tried. */
  boot?: string | undefined
  emit(event: EventBody): void
}

export interface Residue {
  step: number
  resource: string
  describe: string
  error: string
}

export interface RollbackResult {
  residue: Residue[]
  /** The first error of writing the journal: the undo went on, but does not count as recorded. */
  journalError?: Error
}

/** Undoes every pending step of the run, last first. Never throws: what could not be undone is in the result. */
export async function rollback(input: RollbackInput): Promise<RollbackResult> {
  const log = new UndoLog(input.journal)
  try {
    await closeHeld(input)
    await log.append({ type: 'undo.started', reason: input.reason, outcome: input.outcome })
    input.emit({ type: 'run.phase', phase: 'quiesce' })
    const strangers = new Set<string>()
    const stranger = (words: string): void => void strangers.add(words)
    const quiesced = await persist(input, (signal) => input.agent.quiesce(input.run, signal, stranger))
    warnOf([...strangers], input)
    input.emit({ type: 'run.phase', phase: 'rollback' })
    const pending = pendingSteps(await input.state.readJournal(input.run)).reverse()
    const residue: Residue[] = []
    for (const step of pending) {
      // While something of ours may still land, and behind a later step that is not undone, an undo could be undone again.
      const blocker = residue.find((r) => pending.some((p) => p.step === r.step && overlap(p, step)))
      const deadly = whyNotTried(step, input.boot)
      const error =
        deadly ??
        quiesced ??
        (blocker
          ? new RollbackError('RESIDUE', `waits for step ${blocker.step}, which is not undone yet`)
          : await undo(step, input, log))
      if (error === undefined) continue
      residue.push({ step: step.step, resource: step.resource, describe: step.describe, error: messageOf(error) })
      await log.append(failureOf(step, messageOf(error), deadly === undefined ? undefined : input.boot))
      input.emit({ type: 'step.revert_failed', step: viewOf(step), error: messageOf(error) })
    }
    return { residue, ...(log.error ? { journalError: log.error } : {}) }
  } catch (error) {
    return {
      residue: [
        {
          step: 0,
          resource: input.state.journalFile(input.run),
          describe: 'read the journal',
          error: messageOf(error),
        },
      ],
      journalError: asError(error),
    }
  }
}

/** How many of them are named. */
const NAMED = 5

/** Once for all of them, and for all attempts. */
function warnOf(strangers: readonly string[], { emit }: RollbackInput): void {
  if (strangers.length === 0) return
  const more = strangers.length > NAMED ? ` and ${strangers.length - NAMED} more` : ''
  const names = `${strangers.slice(0, NAMED).join(', ')}${more}`
  emit({
    type: 'run.warning',
    message: `left alone, because a name of this run does not show that they are ours: ${names}`,
  })
}

/** `deadlyIn`: the boot in which it is not tried, where that is the failure. */
function failureOf({ step }: StepState, error: string, deadlyIn: string | undefined): JournalRecord {
  return deadlyIn === undefined
    ? { type: 'step.revert_failed', step, error }
    : { type: 'step.quarantined', step, error, boot: deadlyIn }
}

/** Journal records of the undo. A full disk must not stop an undo: the error is kept, and the undo goes on. */
class UndoLog {
  error: Error | undefined
  readonly #journal: Journal
  constructor(journal: Journal) {
    this.#journal = journal
  }
  async append(record: JournalRecord): Promise<void> {
    try {
      await this.#journal.append(record, { durable: true })
    } catch (error) {
      this.error ??= asError(error)
    }
  }
}

async function closeHeld({ held, clock }: RollbackInput): Promise<void> {
  // Quiesce ends on the target whatever does not close here in time.
  for (let resource = held.pop(); resource; resource = held.pop()) await closeWithin(resource, clock)
}

/** Closes what may hang or fail; neither stops an undo. */
export async function closeWithin(resource: Holdable, clock: Clock, ms = 5_000): Promise<void> {
  const end = new AbortController()
  const late = clock.sleep(ms, end.signal).catch(() => undefined)
  const closing = (async () => resource.close())().catch(() => undefined)
  await Promise.race([closing, late])
  end.abort()
}

/** Reverts one step and reads back. Undefined when it reads as restored; the error otherwise. */
async function undo(step: StepState, input: RollbackInput, log: UndoLog): Promise<unknown> {
  const { agent, clock, emit, state, run } = input
  const begun = clock.monotonic()
  emit({ type: 'step.reverting', step: viewOf(step) })
  let left: Inspection | undefined
  let observed: Observed | undefined
  let attempts = 0
  // Should this kill us, it is the last thing that the journal says of the step.
  await log.append({ type: 'undo.started', step: step.step, ...(input.boot === undefined ? {} : { boot: input.boot }) })
  const error = await persist(input, async (signal, alive) => {
    // Facts of an interrupted attempt are in the file, behind what was there when the rollback began.
    const isFirst = attempts++ === 0
    const known = isFirst ? step : ((await state.readJournal(run)).steps.find(isSame(step)) ?? step)
    const data = await state.loadStep(run, known)
    const ctx = { version: step.version, mark: step.mark, clock, signal }
    if (isFirst) observed = await observe(step, data, agent, ctx, emit)
    await agent.revert(step.skill, data, {
      ...ctx,
      async progress(facts) {
        alive()
        await log.append({ type: 'undo.progress', step: step.step, facts })
      },
    })
    left = await agent.inspect(step.skill, data, ctx)
    if (left.inEffect > 0) {
      throw new RollbackError(
        'RESIDUE',
        `still in effect after its undo: ${left.inEffect}${left.names ? ` (${left.names.join(', ')})` : ''}`,
      )
    }
  })
  if (error !== undefined || !left) return error
  const ms = Math.round(clock.monotonic() - begun)
  const [kept, names] = [left.foreign, left.foreign > 0 ? (left.names ?? []) : []]
  const told = { kept, names, ...(observed ? { observed } : {}) }
  await log.append({ type: 'step.reverted', step: step.step, ...told, ms })
  emit({ type: 'step.reverted', step: viewOf(step), ...told, took_ms: ms })
  return undefined
}

/**
 * Tries until it succeeds or nothing has moved for `noProgressMs`. Returns undefined, or the last error. One attempt that
 * hangs counts as no progress too: its signal is aborted and it is left behind.
 */
async function persist(
  { clock, noProgressMs }: RollbackInput,
  work: (signal: AbortSignal, alive: () => void) => Promise<void>,
): Promise<unknown> {
  let lastProgress = clock.monotonic()
  const alive = (): void => void (lastProgress = clock.monotonic())
  const idle = (): number => clock.monotonic() - lastProgress
  let last: unknown
  for (let pause = 100; ; pause = Math.min(pause * 2, 2_000)) {
    const attempt = new AbortController()
    try {
      const working = work(attempt.signal, alive)
      working.catch(() => undefined)
      const stall = await Promise.race([working, stalled(clock, idle, noProgressMs, attempt.signal)])
      if (stall === undefined) return undefined
      return new RollbackError('RESIDUE', stall, { cause: last })
    } catch (error) {
      last = error
      if (isFinal(error) || idle() + pause > noProgressMs) return error
    } finally {
      attempt.abort(new RollbackError('RESIDUE', 'this attempt is over'))
    }
    await clock.sleep(pause)
  }
}

async function stalled(clock: Clock, idle: () => number, limit: number, signal: AbortSignal): Promise<string> {
  while (idle() < limit) await clock.sleep(limit - idle(), signal)
  return `no progress for ${Math.round(limit / 1000)} s`
}

/** Trying again cannot help: another server answers, or this version lacks the skill. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof CodedError &&
    ['IDENTITY_MISMATCH', 'REFUSED_UNSUITABLE', 'JOURNAL_READ', 'JOURNAL_NEWER'].includes(error.code)
  )
}

function isSame({ planned }: StepState): (other: StepState) => boolean {
  return (other) => other.planned.offset === planned.offset && other.planned.part === planned.part
}

/** Then the later one has to be undone first. */
export function overlap(a: StepState, b: StepState): boolean {
  return a.touches.some((id) => b.touches.includes(id))
}

function viewOf({ step, skill, resource, describe }: StepState): StepView {
  return { step, skill, resource, describe }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
