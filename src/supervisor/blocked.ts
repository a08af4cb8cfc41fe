/** Runs that are not clean: they keep new runs away from what they still have to undo. */
import { counted } from '../core/counted.ts'
import { CodedError, ERROR_CODES, factsOf, JournalError, messageOf } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Report } from '../core/report.ts'
import { identityMismatch } from '../core/identity.ts'
import type { Identity } from '../core/identity.ts'
import { forgetRun } from '../journal/forget.ts'
import { pendingSteps, placesOf } from '../journal/journal.ts'
import type { RunState, StepState } from '../journal/journal.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'

/** A run that is not clean, and why. */
export interface Blocked {
  run: string
  experiment: string
  /** Empty where the journal does not say any more: then every target is refused. */
  endpoint: string
  /** What its pending steps touch, as claim keys: on another database of the same server they are in the way too. */
  claims: string[]
  /** The systems that it is on as a whole, where the journal does not say for sure what is changed there, or nobody could look. */
  systems?: Identity['parts'][]
  pending: number
  /** Steps whose undo is not tried any more until a person says so; absent where there is none. */
  quarantined?: number[]
  /** Its journal cannot be read; it may be whole. Absent where it can. */
  unreadable?: true
  reason: string
  /** Of the error that keeps it, where it has one. */
  code?: ErrorCode
  /** It is being undone. */
  recovering?: true
}

/** Why a run is not clean: the sentence, and what machines read of it. */
export type Why = Pick<Blocked, 'reason' | 'code' | 'recovering'>

export class BlockedRuns {
  readonly #runs = new Map<string, Blocked>()

  get list(): readonly Blocked[] {
    return [...this.#runs.values()]
  }

  get size(): number {
    return this.#runs.size
  }

  get(run: string): Blocked | undefined {
    return this.#runs.get(run)
  }

  has(run: string): boolean {
    return this.#runs.has(run)
  }

  delete(run: string): void {
    this.#runs.delete(run)
  }

  /** `seen`: what is left was looked at on the target. */
  set(state: RunState, why: Why, seen = true): void {
    const { run } = state
    const { experiment = '', endpoint = '' } = state.started ?? {}
    const steps = pendingSteps(state)
    const pending = steps.length
    const claims = claimsOf(state)
    const systems = state.started ? placesOf(state.started).map(({ identity }) => identity.parts) : []
    const known = seen && state.started !== undefined && state.damage.length === 0
    this.#runs.set(run, {
      run,
      experiment,
      endpoint,
      claims,
      ...(known ? {} : { systems }),
      pending,
      ...why,
      ...quarantinedIn(steps),
      ...(state.damage.some((one) => one.unreadable) ? { unreadable: true } : {}),
    })
  }

  /**
   * Throws BLOCKED_BY_RESIDUE: for what a run that is not clean may have changed, and for the whole of its systems only where
   * its journal does not say what that is, or nobody could look. By the name the configuration uses; by identity and claims once the worker knows them.
   */
  refuse(endpoint: string, systems: readonly Identity['parts'][] = [], keys: readonly string[] = []): void {
    for (const blocked of this.#runs.values()) {
      const same =
        blocked.systems !== undefined &&
        (['', endpoint].includes(blocked.endpoint) ||
          blocked.systems.some((then) => systems.some((now) => sameSystem(then, now))))
      if (same || keys.some((key) => blocked.claims.includes(key))) {
        const { run, experiment, endpoint: where } = blocked
        throw new CodedError(
          'BLOCKED_BY_RESIDUE',
          `blocked by run ${blocked.run} (${blocked.experiment || 'unknown experiment'}): ${counted(blocked.pending, 'step')} on ${blocked.endpoint || 'an unknown target'} not undone: ${blocked.reason}`,
          { about: { run, experiment, endpoint: where, count: blocked.pending } },
        )
      }
    }
  }
}

function quarantinedIn(steps: readonly StepState[]): Pick<Blocked, 'quarantined'> {
  const quarantined = steps.filter((step) => step.quarantined).map(({ step }) => step)
  return quarantined.length === 0 ? {} : { quarantined }
}

/** Journals that are not finished, without those of runs under way; what finished but was not cleared away is cleared now. */
export async function openRuns(
  kept: { runs: Runs; secrets: Secrets },
  workOn: (run: string) => 'run' | 'undo' | undefined,
  warn: (run: string, message: string) => void,
): Promise<RunState[]> {
  const open: RunState[] = []
  for (const journal of await kept.runs.list()) {
    const { run } = journal
    const work = workOn(run)
    if (work === 'run') continue
    if (!isOver(journal)) open.push(journal)
    else if (work === undefined) {
      // A disk that does not let it be removed must not keep the others from being undone.
      await forgetRun(kept, run).catch((error: unknown) => {
        warn(run, `the files of run ${run}, which is over, stay: ${messageOf(error)}`)
      })
    }
  }
  return open
}

/** Whether nothing of it is left to undo: it said so, or never came to its first record. */
function isOver({ started, finished, steps, damage }: RunState): boolean {
  if (finished) return pendingSteps({ steps }).length === 0
  return started === undefined && steps.length === 0 && damage.length === 0
}

/** Under every scope, because a journal does not say which one a skill has: rather one too many than one too few. */
function claimsOf(state: RunState): string[] {
  const pending = pendingSteps(state)
  const claims = (state.started ? placesOf(state.started) : []).flatMap(({ place, identity }) => {
    const touched = pending.flatMap((step) => (step.place === place ? step.touches : []))
    const scopes = [...new Set(Object.values(identity.scopes))]
    return scopes.flatMap((scope) => touched.map((id) => `${scope}/${id}`))
  })
  return [...new Set(claims)]
}

/** The same system as far as both sides could read: at least one part was compared, and none differs. */
export function sameSystem(a: Identity['parts'], b: Identity['parts']): boolean {
  const compared = Object.keys(a).some(
    (part) => part !== 'port' && (a[part] ?? null) !== null && (b[part] ?? null) !== null,
  )
  return compared && identityMismatch(a, b).length === 0
}

/** Nothing is left on the target, and the journal says so. */
export function isClean({ residue, exit_code }: Report): boolean {
  return residue.length === 0 && exit_code !== ERROR_CODES.JOURNAL_WRITE
}

export function whyNotClean({ residue: [first], reason = 'residue', code }: Report): Why {
  if (first) return { reason: first.error, ...(first.code === undefined ? {} : { code: first.code }) }
  return { reason, ...(code === undefined ? {} : { code }) }
}

export function whyOf(error: unknown): Why {
  const { code } = factsOf(error)
  return { reason: messageOf(error), ...(code === undefined ? {} : { code }) }
}

/** A journal without its start does not say on which target to undo it. `file`: the path of the journal. */
export function damagedStart({ run, damage }: RunState, file: string): JournalError {
  const [first] = damage
  const hidden = damage.find((one) => one.unreadable)
  if (hidden) {
    return new JournalError(
      'JOURNAL_READ',
      `${hidden.reason}. What run ${run} has changed, and where, is not known until it can be read; chaos recover --run ${run} undoes it then`,
    )
  }
  const whole = damage.find((one) => one.foreign)
  if (whole) return new JournalError('JOURNAL_READ', `${file} says nothing of its own: ${whole.reason}`)
  return new JournalError(
    'JOURNAL_READ',
    `${file} does not say any more which target it is of (byte ${first?.offset ?? 0}: ${first?.reason ?? 'no start'}). Read it, put back by hand what it names, then chaos recover --run ${run} --accept-loss --note WHY`,
  )
}
