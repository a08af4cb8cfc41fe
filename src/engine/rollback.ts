/**
 * Rollback: the only caller of revert. Ordinary rollback and crash recovery are this one function; what is to be undone
 * is read from the journal file, never from memory.
 */
import type { Clock } from '../core/clock.ts'
import { CodedError, factsOf, messageOf, RollbackError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { Observed } from '../core/observed.ts'
import type { StepView } from '../core/plan-view.ts'
import type { Outcome, ResidueReport } from '../core/report.ts'
import type { Holdable, Inspection } from '../core/skill.ts'
import type { Agent } from '../core/target.ts'
import { atMost } from '../core/within.ts'
import { pendingSteps } from '../journal/journal.ts'
import type { Journal, JournalRecord, StepState } from '../journal/journal.ts'
import { hasDied, whyNotTried } from '../journal/quarantine.ts'
import type { Runs } from '../journal/runs.ts'
import { FreshJournal } from './fresh-journal.ts'
import { observe } from './observe.ts'
import { pooled } from './pooled.ts'

export interface RollbackInput {
  run: string
  /** Where its journal is read again. */
  runs: Runs
  journal: Journal
  /** Where something of the run may still be in flight; what is pending elsewhere is undone there, too. */
  places: readonly string[]
  /** The agent of a place, once it is the run's turn there. Rejects where nobody answers, or another system does. */
  reach(place: string): Promise<Agent>
  /** Nothing more is done there. */
  left?(place: string): void
  clock: Clock
  /** Why the run is rolled back, and its outcome so far. */
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

export interface RollbackResult {
  residue: ResidueReport[]
  /** The first error of writing the journal: the undo went on, but does not count as recorded. */
  journalError?: Error
}

/**
 * Undoes every pending step of the run: places side by side, on each of them last first. Never throws: what could not be
 * undone is in the result.
 */
export async function rollback(input: RollbackInput): Promise<RollbackResult> {
  const log = new UndoLog(input.journal)
  const journal = new FreshJournal(() => input.runs.read(input.run))
  try {
    await closeHeld(input)
    await log.append({ type: 'undo.started', reason: input.reason, outcome: input.outcome })
    input.emit({ type: 'run.phase', phase: 'quiesce' })
    // A run with one place may not know which, and is quiesced before its journal is read.
    const pending = input.places.length === 1 ? [] : pendingSteps(await journal.read())
    const places = [...new Set([...input.places, ...pending.map(({ place }) => place)])]
    const undone = new Phases(input)
    // An undo that has killed its worker is tried with no other beside it: else all of them would be blamed for the next death.
    const deadly = new Set(pending.filter(hasDied).map(({ place }) => place))
    const undoAll = async (some: readonly string[], sideBySide: number): Promise<ResidueReport[]> => {
      const results = await pooled(some, sideBySide, (place) => undoPlace(place, input, { log, journal, undone }))
      return results.flatMap((result) => {
        if (result.status === 'rejected') throw result.reason
        return result.value
      })
    }
    const residue = await undoAll(
      places.filter((place) => !deadly.has(place)),
      places.length,
    )
    residue.push(...(await undoAll([...deadly], 1)))
    return { residue, ...(log.error ? { journalError: log.error } : {}) }
  } catch (error) {
    return {
      residue: [
        {
          step: 0,
          resource: input.runs.where(input.run),
          describe: 'read the journal',
          error: messageOf(error),
          ...factsOf(error),
        },
      ],
      journalError: asError(error),
    }
  }
}

/** What the places of one rollback share. */
interface Shared {
  log: UndoLog
  journal: FreshJournal
  undone: Phases
}

async function undoPlace(
  place: string,
  input: RollbackInput,
  { log, journal, undone }: Shared,
): Promise<ResidueReport[]> {
  try {
    const { agent, error: away } = await reached(place, input)
    const strangers = new Set<string>()
    const stranger = (words: string): void => void strangers.add(words)
    const quiesced = agent ? await persist(input, (signal) => agent.quiesce(input.run, signal, stranger)) : away
    warnOf([...strangers], input)
    undone.begin()
    const pending = pendingSteps(await journal.read())
      .filter((step) => step.place === place)
      .reverse()
    const residue: ResidueReport[] = []
    for (const step of pending) {
      // While something of ours may still land, and behind a later step that is not undone, an undo could be undone again.
      const blocker = residue.find((r) => pending.some((p) => p.step === r.step && overlap(p, step)))
      const why = whyNotTried(step, input.boot)
      const deadly = why === undefined ? undefined : new RollbackError('RESIDUE', why)
      const waits = blocker && waitsFor(blocker.step)
      const error = deadly ?? quiesced ?? waits ?? (agent && (await undo(step, { ...input, agent, journal }, log)))
      if (error === undefined) continue
      const told = { error: messageOf(error), ...factsOf(error), ...(deadly ? { quarantined: true as const } : {}) }
      residue.push({ step: step.step, resource: step.resource, describe: step.describe, ...told })
      await log.append(failureOf(step, error, deadly === undefined ? undefined : input.boot))
      input.emit({ type: 'step.revert_failed', step: viewOf(step), ...told })
    }
    return residue
  } finally {
    input.left?.(place)
  }
}

async function reached(place: string, { reach }: RollbackInput): Promise<{ agent?: Agent; error?: Error }> {
  try {
    return { agent: await reach(place) }
  } catch (error) {
    return { error: asError(error) }
  }
}

/** The rollback begins once, with the first place that is quiet. */
class Phases {
  #begun = false
  readonly #emit: RollbackInput['emit']
  constructor({ emit }: RollbackInput) {
    this.#emit = emit
  }
  begin(): void {
    if (!this.#begun) this.#emit({ type: 'run.phase', phase: 'rollback' })
    this.#begun = true
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
    code: 'left_alone',
    about: { count: strangers.length },
    message: `left alone, because a name of this run does not show that they are ours: ${names}`,
  })
}

/** `deadlyIn`: the boot in which it is not tried, where that is the failure. */
function failureOf({ step }: StepState, given: unknown, deadlyIn: string | undefined): JournalRecord {
  const error = messageOf(given)
  const { code } = factsOf(given)
  return deadlyIn === undefined
    ? { type: 'step.revert_failed', step, error, ...(code === undefined ? {} : { code }) }
    : { type: 'step.quarantined', step, error, boot: deadlyIn }
}

function waitsFor(step: number): RollbackError {
  return new RollbackError('RESIDUE', `waits for step ${step}, which is not undone yet`, { about: { waits_for: step } })
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

/** Side by side, begun last one first. Quiesce ends on the target whatever does not close here in time. */
async function closeHeld({ held, clock }: RollbackInput): Promise<void> {
  const all = held.splice(0).reverse()
  await Promise.all(all.map((resource) => closeWithin(resource, clock)))
}

/** Closes what may hang or fail; neither stops an undo. */
export async function closeWithin(resource: Holdable, clock: Clock, ms = 5_000): Promise<void> {
  await atMost(
    { ms, clock },
    async () => resource.close(),
    () => undefined,
  ).catch(() => undefined)
}

/** Reverts one step and reads back. Undefined when it reads as restored; the error otherwise. */
async function undo(
  step: StepState,
  input: Omit<RollbackInput, 'journal'> & { agent: Agent; journal: FreshJournal },
  log: UndoLog,
): Promise<unknown> {
  const { agent, clock, emit, runs, run, journal } = input
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
    const known = isFirst ? step : ((await journal.read()).steps.find(isSame(step)) ?? step)
    const data = await runs.load(run, known)
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
  { clock, noProgressMs }: Pick<RollbackInput, 'clock' | 'noProgressMs'>,
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

function isSame({ step, since }: StepState): (other: StepState) => boolean {
  return (other) => other.step === step && other.since === since
}

/** Then the later one has to be undone first. */
export function overlap(a: StepState, b: StepState): boolean {
  return a.place === b.place && a.touches.some((id) => b.touches.includes(id))
}

function viewOf({ step, skill, resource, describe }: StepState): StepView {
  return { step, skill, resource, describe }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
