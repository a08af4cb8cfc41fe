/** Steps: the only caller of apply. Each step is durable in the journal directly before its own apply. */
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { JournalError, messageOf, StaleError, StepError } from '../core/errors.ts'
import type { EventBody } from '../core/events.ts'
import type { StepView } from '../core/plan-view.ts'
import { tookEffect, UNDO_MS } from '../core/skill.ts'
import type { Holdable, Inspection } from '../core/skill.ts'
import type { Agent } from '../core/target.ts'
import type { Journal } from '../journal/journal.ts'
import { KeyedMutex } from './keyed-mutex.ts'
import { PHASES } from './plan.ts'
import type { PlannedStep } from './plan.ts'
import { closeWithin } from './rollback.ts'

export interface StepsInput {
  agent: Agent
  journal: Journal
  clock: Clock
  /** The run's: aborts applies and the soak. */
  signal: AbortSignal
  soakMs: number
  parallel: boolean
  emit(event: EventBody): void
  /** Filled as steps are applied; the rollback closes them, last one first. */
  held: Holdable[]
}

/** After an abort, how long the step in flight may take to notice. */
const ABORT_GRACE_MS = 15_000

/** Applies every step and soaks. Returns whether anything took effect; throws at the first failed step. */
export async function applySteps(steps: PlannedStep[], input: StepsInput): Promise<{ effective: boolean }> {
  const runner = new StepRunner(steps, input)
  const atOnce = steps.filter((s) => !s.spread)
  const overTime = steps.filter((s) => s.spread)
  try {
    if (input.parallel) await runner.concurrently(atOnce)
    else await runner.inOrder(atOnce)
    runner.throwIfOver()
    input.emit({ type: 'run.phase', phase: 'soak' })
    await runner.spread(overTime)
    for (const resource of input.held) resource.stopRenewing?.()
  } finally {
    // What ends from here on is ended by us.
    runner.over = true
  }
  return { effective: runner.effective }
}

class StepRunner {
  effective = false
  /** Set by the first failed step: nothing new is begun, in any lane. */
  #failed = false
  over = false
  /** Not applied yet, those under way included. */
  readonly #open: Set<PlannedStep>
  readonly #input: StepsInput
  readonly #busy = new KeyedMutex()
  readonly #lost = new AbortController()

  /** `signal` also ends what is under way when something held has ended by itself. */
  constructor(steps: readonly PlannedStep[], input: StepsInput) {
    this.#open = new Set(steps)
    this.#input = { ...input, signal: AbortSignal.any([input.signal, this.#lost.signal]) }
  }

  throwIfOver(): void {
    this.#input.signal.throwIfAborted()
  }

  async inOrder(steps: PlannedStep[]): Promise<void> {
    for (const step of steps) await this.#apply(step)
  }

  /** Invocations side by side; the order data, settings, held stays, and steps that touch the same things never overlap. */
  async concurrently(steps: PlannedStep[]): Promise<void> {
    for (const phase of PHASES) {
      const lanes = new Map<number, PlannedStep[]>()
      for (const step of steps.filter((s) => s.phase === phase)) {
        lanes.set(step.invocation, [...(lanes.get(step.invocation) ?? []), step])
      }
      const results = await Promise.allSettled([...lanes.values()].map((lane) => this.inOrder(lane)))
      for (const result of results) if (result.status === 'rejected') throw result.reason
    }
  }

  /** The soak, with steps at even distances in it. */
  async spread(steps: PlannedStep[]): Promise<void> {
    const { clock, soakMs, signal } = this.#input
    const start = clock.monotonic()
    for (const [i, step] of steps.entries()) {
      await clock.sleep(Math.max(0, start + (i * soakMs) / steps.length - clock.monotonic()), signal)
      await this.#apply(step)
    }
    await clock.sleep(Math.max(0, start + soakMs - clock.monotonic()), signal)
  }

  async #apply(step: PlannedStep): Promise<void> {
    await this.#busy.run(step.touches, () => this.#applyNow(step))
    this.#open.delete(step)
  }

  async #applyNow(planned: PlannedStep): Promise<void> {
    const { journal, clock, signal, emit } = this.#input
    signal.throwIfAborted()
    if (this.#failed) return
    const { step, skill, version, resource, touches, describe, mark, data } = planned
    const view: StepView = { step, skill, resource, describe }
    emit({ type: 'step.applying', step: view })
    try {
      await journal.append(
        { type: 'step.planned', step, skill, version, resource, touches, describe, mark, data },
        { durable: true },
      )
      const begun = clock.monotonic()
      const result = await this.#bounded(planned)
      if (result instanceof StaleError) {
        await journal.append({ type: 'step.skipped', step, reason: result.message })
        emit({ type: 'step.skipped', step: view, reason: result.message })
        return
      }
      this.effective ||= tookEffect(result)
      const ms = Math.round(clock.monotonic() - begun)
      await journal.append({ type: 'step.applied', step, effect: result, ms })
      emit({ type: 'step.applied', step: view, effect: result, took_ms: ms })
    } catch (error) {
      this.#failed = true
      if (!signal.aborted) emit({ type: 'step.failed', step: view, error: messageOf(error) })
      // What cannot be journalled any more is still undone: the step is in the file as planned.
      await journal.append({ type: 'step.failed', step, error: messageOf(error) }).catch(() => undefined)
      signal.throwIfAborted()
      if (error instanceof JournalError) throw error
      throw new StepError('STEP_FAILED', `step ${step} (${describe}) failed: ${messageOf(error)}`, { cause: error })
    }
  }

  /**
   * Apply and inspect, with their end: a timeout, and a short grace once the run is aborted. What comes back after that
   * can neither record, and so not commit, nor hold anything.
   */
  async #bounded(planned: PlannedStep): Promise<Inspection | StaleError> {
    const { clock, signal } = this.#input
    const over = new AbortController()
    const applying = this.#applyAndInspect(planned, over.signal)
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

  /** Of a step that is applied now. Invocations side by side count as if they came one after the other: more is no harm. */
  #heldMs(): number {
    return [...this.#open].reduce((sum, { apply_ms }) => sum + apply_ms, this.#input.soakMs + UNDO_MS)
  }

  /** Only what apply itself says is stale has changed nothing. */
  async #applyAndInspect(planned: PlannedStep, over: AbortSignal): Promise<Inspection | StaleError> {
    const { step, skill, version, mark, data } = planned
    const { agent, journal, clock, held } = this.#input
    const signal = AbortSignal.any([this.#input.signal, over])
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

  /** A fault that ends by itself has tested less than the run would say: it ends the run, which is not completed. */
  #watch({ lost }: Holdable, { step, skill, resource, describe }: PlannedStep): void {
    const { journal, clock, emit } = this.#input
    const begun = clock.monotonic()
    void lost?.then(async (why) => {
      if (this.over || this.#input.signal.aborted) return
      const error = `it ended by itself after ${formatDuration(Math.round(clock.monotonic() - begun))}: ${why}`
      emit({ type: 'step.failed', step: { step, skill, resource, describe }, error })
      this.#lost.abort(new StepError('STEP_FAILED', `step ${step} (${describe}) failed: ${error}`))
      await journal.append({ type: 'step.failed', step, error }).catch(() => undefined)
    })
  }
}
