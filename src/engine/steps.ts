/** Steps: the only caller of apply. Each step is durable in the journal directly before its own apply. */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { factsOf, JournalError, messageOf, StaleError, StepError, TargetError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { StepView } from '../core/plan-view.ts'
import { tookEffect, UNDO_MS } from '../core/skill.ts'
import type { Holdable, Inspection } from '../core/skill.ts'
import type { Agent, Claim } from '../core/target.ts'
import type { Journal } from '../journal/journal.ts'
import { KeyedMutex } from './keyed-mutex.ts'
import { releases } from './pace.ts'
import { PHASES, touchedBy } from './plan.ts'
import type { PlannedStep } from './plan.ts'
import { closeWithin } from './rollback.ts'

export interface StepsInput {
  /** The agent of each place; the empty name is that of a run's only one. */
  agentAt(place: string): Agent
  journal: Journal
  clock: Clock
  /** The run's: aborts applies and the soak. */
  signal: AbortSignal
  soakMs: number
  parallel: boolean
  emit(event: EventBody): void
  /** Filled as steps are applied; the rollback closes them, last one first. */
  held: Holdable[]
  /** What keeps others from the same things; a place whose claims are lost is over. */
  claims?: readonly HeldClaim[]
}

/** The claims of a place. */
export interface HeldClaim extends Claim {
  place: string
}

/** After an abort, how long the step in flight may take to notice. */
const ABORT_GRACE_MS = 15_000

/**
 * Applies every step and soaks, places side by side. Returns whether anything took effect, and the first error of a place that
 * did not last: it ends its place, not the run. Throws it when nothing is left in effect anywhere.
 */
export async function applySteps(
  steps: PlannedStep[],
  input: StepsInput,
): Promise<{ effective: boolean; failed?: Error }> {
  const runner = new StepRunner(steps, input)
  try {
    await runner.atOnce()
    runner.throwIfOver()
    input.emit({ type: 'run.phase', phase: 'soak' })
    await runner.soak()
    for (const resource of input.held) resource.stopRenewing?.()
  } finally {
    // What ends from here on is ended by us.
    runner.over = true
  }
  const { effective, failed } = runner
  return { effective, ...(failed ? { failed } : {}) }
}

/** The steps of one place. */
class Lane {
  readonly steps: readonly PlannedStep[]
  /** Not applied yet, those under way included. */
  readonly open: Set<PlannedStep>
  /** Ends what is under way here when something held has ended by itself. */
  readonly #lost = new AbortController()
  /** Ends what only waits to be begun. */
  readonly #failed = new AbortController()
  effective = false
  /** The first that went wrong: nothing new is begun here. */
  error: Error | undefined

  constructor(steps: readonly PlannedStep[]) {
    this.steps = steps
    this.open = new Set(steps)
  }

  /** Whether something of it is in effect, or may still be. */
  get lives(): boolean {
    return this.error === undefined && (this.effective || this.open.size > 0)
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  get failed(): AbortSignal {
    return this.#failed.signal
  }

  /** What is under way is let to its end. Gives the first error of the place. */
  fail(error: Error): Error {
    this.error ??= error
    this.#failed.abort(error)
    return this.error
  }

  lose(error: Error): void {
    this.fail(error)
    this.#lost.abort(error)
  }
}

class StepRunner {
  over = false
  /** The first error that ended a place. */
  failed: Error | undefined
  readonly #lanes = new Map<string, Lane>()
  readonly #input: StepsInput
  readonly #busy = new KeyedMutex()
  readonly #releases: ReadonlyMap<PlannedStep, number>
  #soakBegan = 0
  /** Ends everything: nothing is left in effect, or the journal cannot be written. */
  readonly #end = new AbortController()

  constructor(steps: readonly PlannedStep[], input: StepsInput) {
    this.#releases = releases(steps, input.soakMs)
    const byPlace = new Map<string, PlannedStep[]>()
    for (const step of steps) {
      const mine = byPlace.get(step.place)
      if (mine) mine.push(step)
      else byPlace.set(step.place, [step])
    }
    for (const [place, mine] of byPlace) this.#lanes.set(place, new Lane(mine))
    this.#input = { ...input, signal: AbortSignal.any([input.signal, this.#end.signal]) }
    setMaxListeners(0, this.#input.signal)
    for (const claim of input.claims ?? []) this.#watchClaim(claim)
  }

  get effective(): boolean {
    return [...this.#lanes.values()].some((lane) => lane.effective)
  }

  throwIfOver(): void {
    this.#input.signal.throwIfAborted()
  }

  /** All that does not go in the soak. */
  atOnce(): Promise<void> {
    return this.#applyAll((step) => !this.#releases.has(step))
  }

  /** The soak, with the steps that go in it. One that comes late, because those before it took long, goes all the same. */
  async soak(): Promise<void> {
    const { clock, soakMs, signal } = this.#input
    this.#soakBegan = clock.monotonic()
    await this.#applyAll((step) => this.#releases.has(step))
    await clock.sleep(Math.max(0, this.#soakBegan + soakMs - clock.monotonic()), signal)
  }

  /** Places side by side. */
  #applyAll(isDue: (step: PlannedStep) => boolean): Promise<void> {
    const work = [...this.#lanes.values()].map((lane) => {
      const mine = lane.steps.filter(isDue).sort((a, b) => this.#releaseOf(a) - this.#releaseOf(b))
      return this.#input.parallel ? this.#concurrently(mine, lane) : this.#inOrder(mine, lane)
    })
    return this.#settled(work)
  }

  /** Milliseconds after the beginning of the soak. */
  #releaseOf(step: PlannedStep): number {
    return this.#releases.get(step) ?? 0
  }

  /** Until the step may go; a place that is over is not waited for. */
  async #released(step: PlannedStep, lane: Lane): Promise<void> {
    const { clock, signal } = this.#input
    const due = this.#soakBegan + this.#releaseOf(step)
    if (!this.#releases.has(step) || lane.error) return
    await clock.sleep(Math.max(0, due - clock.monotonic()), AbortSignal.any([signal, lane.failed])).catch(() => {
      signal.throwIfAborted()
    })
  }

  /** Waits for all of it. A place that has failed throws only where no other is left. */
  async #settled(work: readonly Promise<void>[]): Promise<void> {
    const results = await Promise.allSettled(work)
    this.throwIfOver()
    for (const result of results)
      if (result.status === 'rejected' && (!(result.reason instanceof PlaceFailed) || !this.#livesAnywhere()))
        throw result.reason instanceof PlaceFailed ? result.reason.cause : result.reason
  }

  #livesAnywhere(): boolean {
    return [...this.#lanes.values()].some((lane) => lane.lives)
  }

  #laneOf({ place }: PlannedStep): Lane {
    const lane = this.#lanes.get(place)
    if (!lane) throw new Error(`no place ${place}`)
    return lane
  }

  async #inOrder(steps: readonly PlannedStep[], lane: Lane): Promise<void> {
    for (const step of steps) await this.#apply(step, lane)
  }

  /** Invocations side by side; the order data, settings, held stays, and steps that touch the same things never overlap. */
  async #concurrently(steps: readonly PlannedStep[], lane: Lane): Promise<void> {
    for (const phase of PHASES) {
      const invocations = new Map<number, PlannedStep[]>()
      for (const step of steps.filter((s) => s.phase === phase)) {
        invocations.set(step.invocation, [...(invocations.get(step.invocation) ?? []), step])
      }
      const results = await Promise.allSettled([...invocations.values()].map((mine) => this.#inOrder(mine, lane)))
      for (const result of results) if (result.status === 'rejected') throw result.reason
    }
  }

  async #apply(step: PlannedStep, lane: Lane): Promise<void> {
    await this.#released(step, lane)
    await this.#busy.run(touchedBy(step), () => this.#applyNow(step, lane))
    lane.open.delete(step)
  }

  async #applyNow(planned: PlannedStep, lane: Lane): Promise<void> {
    const { journal, clock, signal, emit } = this.#input
    signal.throwIfAborted()
    if (lane.error) return
    const { step, skill, version, place, resource, touches, describe, mark, data } = planned
    const view: StepView = { step, skill, resource, describe }
    emit({ type: 'step.applying', step: view })
    try {
      const at = place === '' ? {} : { place }
      await journal.append(
        { type: 'step.planned', step, skill, version, ...at, resource, touches, describe, mark, data },
        { durable: true },
      )
      const begun = clock.monotonic()
      const result = await this.#bounded(planned, lane)
      if (result instanceof StaleError) {
        await journal.append({ type: 'step.skipped', step, reason: result.message, code: result.code })
        emit({ type: 'step.skipped', step: view, reason: result.message, ...factsOf(result) })
        return
      }
      lane.effective ||= tookEffect(result)
      const ms = Math.round(clock.monotonic() - begun)
      await journal.append({ type: 'step.applied', step, effect: result, ms })
      emit({ type: 'step.applied', step: view, effect: result, took_ms: ms })
    } catch (error) {
      const text = `step ${step} (${describe}) failed: ${messageOf(error)}`
      const failure = new StepError('STEP_FAILED', text, { cause: error })
      const first = lane.fail(failure)
      if (!signal.aborted) emit({ type: 'step.failed', step: view, error: messageOf(error), ...factsOf(error) })
      // What cannot be journalled any more is still undone: the step is in the file as planned.
      const { code } = factsOf(error)
      const told = { error: messageOf(error), ...(code === undefined ? {} : { code }) }
      await journal.append({ type: 'step.failed', step, ...told }).catch(() => undefined)
      signal.throwIfAborted()
      if (error instanceof JournalError) {
        this.#end.abort(error)
        throw error
      }
      this.failed ??= first
      throw new PlaceFailed(lane.signal.aborted ? first : failure)
    }
  }

  /**
   * Apply and inspect, with their end: a timeout, and a short grace once the run is aborted. What comes back after that
   * can neither record, and so not commit, nor hold anything.
   */
  async #bounded(planned: PlannedStep, lane: Lane): Promise<Inspection | StaleError> {
    const { clock } = this.#input
    const signal = AbortSignal.any([this.#input.signal, lane.signal])
    const over = new AbortController()
    const applying = this.#applyAndInspect(planned, AbortSignal.any([signal, over.signal]), over.signal)
    const end = new AbortController()
    const late = clock
      .sleep(planned.apply_ms, AbortSignal.any([signal, end.signal]))
      .catch(() => clock.sleep(ABORT_GRACE_MS, end.signal))
      .then(
        () => undefined,
        () => undefined,
      )
    try {
      const result = await Promise.race([applying, late])
      if (result !== undefined) return result
      const reason = new StepError('STEP_FAILED', 'it did not come back in time')
      over.abort(reason)
      throw reason
    } finally {
      end.abort()
      applying.catch(() => undefined)
    }
  }

  /**
   * Of a step that is applied now. Places do not wait for one another, but the soak waits for all of them. Invocations side by
   * side count as if they came one after the other: more is no harm.
   */
  #heldMs(): number {
    const applies = [...this.#lanes.values()].map(({ open }) => [...open].reduce((sum, one) => sum + one.apply_ms, 0))
    return Math.max(0, ...applies) + this.#input.soakMs + UNDO_MS
  }

  /** Only what apply itself says is stale has changed nothing. `over`: nobody waits for it any more. */
  async #applyAndInspect(
    planned: PlannedStep,
    signal: AbortSignal,
    over: AbortSignal,
  ): Promise<Inspection | StaleError> {
    const { step, skill, version, place, mark, data } = planned
    const { agentAt, journal, clock, held } = this.#input
    const agent = agentAt(place)
    const facts: Record<string, unknown> = {}
    try {
      await agent.apply(skill, data, {
        version,
        mark,
        clock,
        heldMs: this.#heldMs(),
        signal,
        hold: (resource) => {
          if (over.aborted) void closeWithin(resource, clock)
          else {
            held.push(resource)
            this.#watch(resource, planned)
          }
        },
        async record(more) {
          over.throwIfAborted()
          const twice = Object.keys(more).filter((key) => key in facts)
          if (twice.length > 0) throw new StepError('STEP_FAILED', `${skill} recorded ${twice.join(', ')} twice`)
          Object.assign(facts, more)
          await journal.append({ type: 'step.recorded', step, facts: more }, { durable: true })
          over.throwIfAborted()
        },
      })
    } catch (error) {
      if (error instanceof StaleError) return error
      throw error
    }
    return agent.inspect(skill, { ...data, ...facts }, { version, mark, clock, signal })
  }

  /** A fault that ends by itself has tested less than the run would say: it ends its place, and the run is not completed. */
  #watch({ lost }: Holdable, planned: PlannedStep): void {
    const { step, skill, resource, describe } = planned
    const lane = this.#laneOf(planned)
    const { journal, clock, emit } = this.#input
    const begun = clock.monotonic()
    void lost?.then(async (why) => {
      if (this.over || this.#input.signal.aborted) return
      const error = `it ended by itself after ${formatDuration(Math.round(clock.monotonic() - begun))}: ${why}`
      emit({ type: 'step.failed', step: { step, skill, resource, describe }, error, code: 'STEP_FAILED' })
      this.#lose(lane, new StepError('STEP_FAILED', `step ${step} (${describe}) failed: ${error}`))
      await journal.append({ type: 'step.failed', step, error, code: 'STEP_FAILED' }).catch(() => undefined)
    })
  }

  /** Others may change the same things from now on, so that nothing more is broken there. */
  #watchClaim({ place, lost }: HeldClaim): void {
    const lane = this.#lanes.get(place)
    void lost?.then((why) => {
      if (this.over || this.#input.signal.aborted || !lane?.lives) return
      const message = `the claims of this run${place === '' ? '' : ` on ${place}`} are lost: ${why}`
      this.#input.emit({ type: 'run.warning', code: 'claims', message })
      this.#lose(lane, new TargetError('TARGET_FAILED', message))
    })
  }

  #lose(lane: Lane, error: Error): void {
    this.failed ??= error
    lane.lose(error)
    if (!this.#livesAnywhere()) this.#end.abort(this.failed)
  }
}

/** One place is over; its `cause` says why. */
class PlaceFailed extends Error {
  override readonly cause: Error
  constructor(cause: Error) {
    super(cause.message)
    this.cause = cause
  }
}
