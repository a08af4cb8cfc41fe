/** One execution of an experiment: connect, discover, plan, claim, apply, soak, roll back, report. */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../core/clock.ts'
import { counted, listed } from '../core/counted.ts'
import { CodedError, factsOf, messageOf, RefusedError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { harmless } from '../core/events.ts'
import type { EventBody } from '../core/events.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Facts } from '../core/facts.ts'
import { maskOf } from '../core/filled.ts'
import type { Mask } from '../core/filled.ts'
import type { Outcome, Report } from '../core/report.ts'
import type { Holdable } from '../core/skill.ts'
import type { Agent, Target } from '../core/target.ts'
import { forgetRun } from '../journal/forget.ts'
import type { Ballast } from '../journal/ballast.ts'
import type { History } from '../journal/history.ts'
import type { Journal, PlaceStarted } from '../journal/journal.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'
import { endRun } from './end.ts'
import type { Started } from './end.ts'
import { choosePlaces, openFleet } from './fleet.ts'
import type { Fleet } from './fleet.ts'
import { allOf, planRun, refuseProtected } from './plan.ts'
import type { RunPlan } from './plan.ts'
import { exitCodeOf } from './report.ts'
import { lookAgain } from './soak-end.ts'
import { applySteps } from './steps.ts'
import type { HeldClaim } from './steps.ts'

export interface RunInput {
  experiment: Experiment
  target: Target
  /** The install id; the first part of every mark. */
  install: string
  runs: Runs
  secrets: Secrets
  history: History
  ballast: Ballast
  run: string
  seed: string
  clock: Clock
  /** Aborts the run: the step in flight is awaited, then everything is undone. Its reason says why. */
  signal: AbortSignal
  /** Which start of the machine this is, where it tells. */
  boot?: string | undefined
  emit(event: EventBody): void
  /**
   * Takes the claims from the supervisor; throws RefusedError. `waited` is true when another run had to end first:
   * then the plan is out of date.
   */
  claim(keys: string[], places: PlaceStarted[]): Promise<{ waited: boolean }>
}

/** A rollback in the run itself; recovery takes over what it cannot do in that time. */
const NO_PROGRESS_MS = 30_000
/** How often a plan is made again because claims had to be waited for. */
const REPLANS = 5

/** Runs it. Never throws: whatever happens is in the report, and what was applied is undone or named as residue. */
export async function runExperiment(given: RunInput): Promise<Report> {
  const mask = maskOf(given.experiment.filled ?? [])
  const input = { ...given, emit: harmless((event: EventBody) => given.emit(event)) }
  const { experiment, target, install, clock, signal, emit } = input
  // Each place listens to it, in each of its calls.
  setMaxListeners(0, signal)
  const startedAt = new Date(clock.now()).toISOString()
  const endpoint = target.endpoint(experiment.target_config)
  emit({
    type: 'run.started',
    experiment: experiment.name,
    target: target.name,
    endpoint: endpoint.key,
    seed: input.seed,
    soak_ms: experiment.duration_ms,
  })
  let fleet: Fleet | undefined
  try {
    refuseProtected(experiment, endpoint)
    emit({ type: 'run.phase', phase: 'connect', detail: endpoint.key })
    const places = await choosePlaces(target, experiment, input.seed, signal)
    fleet = await openFleet(target, places, { install, run: input.run, clock, signal }, mask)
    const { plan, claims } = await planAndClaim(fleet, input)
    const [one] = fleet.started
    const started: Started = {
      type: 'run.started',
      at: startedAt,
      format: fleet.named ? 2 : 1,
      run: input.run,
      install,
      experiment: experiment.name,
      target: target.name,
      endpoint: endpoint.key,
      definition: definitionOf(experiment, target, mask),
      seed: input.seed,
      ...(fleet.named ? { places: fleet.started } : one && { identity: one.identity }),
      soak_ms: experiment.duration_ms,
      notes: plan.notes,
    }
    return await breakAndRestore(fleet, plan, started, { ...input, mask, claims })
  } catch (error) {
    return await notBegun(mask.error(error), startedAt, mask.text(endpoint.key), input)
  } finally {
    await fleet?.close(clock)
  }
}

/** For people, and for an undo by hand: where it is stays readable, what was filled in elsewhere does not. */
function definitionOf(experiment: Experiment, target: Target, mask: Mask): unknown {
  const { filled, target_config: config, ...rest } = experiment
  const shown = filled === undefined ? rest : mask.data(rest)
  return { ...shown, target_config: target.redact(config) }
}

async function planAndClaim(fleet: Fleet, input: RunInput): Promise<{ plan: RunPlan; claims: HeldClaim[] }> {
  const { experiment, target, signal, emit } = input
  for (const { place, identity } of fleet.members) {
    if (Object.values(identity.parts).some((part) => part !== null)) continue
    const who = place === '' ? 'the target' : place
    emit({
      type: 'run.warning',
      code: 'identity_unknown',
      message: `${who} does not say who it is: after a crash it will be known by its address only`,
    })
  }
  for (let attempt = 0; attempt < REPLANS; attempt++) {
    const plan = await planRun({
      fleet,
      experiment,
      endpoint: target.endpoint(experiment.target_config),
      skills: target.skills,
      install: input.install,
      run: input.run,
      seed: input.seed,
      signal,
      onPhase: (phase, detail) => emit({ type: 'run.phase', phase, ...(detail === undefined ? {} : { detail }) }),
    })
    emit({ type: 'run.planned', plan: plan.view })
    emit({
      type: 'run.phase',
      phase: 'claim',
      detail: counted(plan.claims.length, 'claim'),
    })
    const { waited } = await input.claim(
      plan.claims.map((claim) => claim.key),
      fleet.started,
    )
    if (waited) continue
    return { plan, claims: await claimOn(fleet, plan, signal) }
  }
  throw new RefusedError(
    'REFUSED_CLAIMED',
    'other runs keep using the same resources; try again later or at another time',
  )
}

/** On each place what of it the plan touches. Nobody waits for a claim there, so they are taken side by side. */
async function claimOn(fleet: Fleet, { claims }: RunPlan, signal: AbortSignal): Promise<HeldClaim[]> {
  const all = fleet.members.map(async ({ place, agent }) => {
    const mine = claims.filter((claim) => claim.place === place).map(({ scope, key }) => ({ scope, key }))
    return { place, ...(await agent.claim(mine, signal)) }
  })
  return allOf(all)
}

/** What ended before the end of the soak did so whether the run is aborted behind it or not. */
const NEVER = new AbortController().signal

/** From here on something may be changed on the target, and `endRun` is reached whatever happens. */
async function breakAndRestore(
  fleet: Fleet,
  plan: RunPlan,
  started: Started,
  input: RunInput & { mask: Mask; claims: readonly HeldClaim[] },
): Promise<Report> {
  const { experiment, runs, secrets, history, clock, signal, emit, mask, claims } = input
  const journal = await openJournal(started, input)
  const held: Holdable[] = []
  const agentAt = (place: string): Agent => fleet.at(place).agent
  let ending: { outcome: Outcome; reason?: string; code?: ErrorCode; about?: Facts }
  try {
    emit({ type: 'run.phase', phase: 'apply' })
    const { effective, failed } = await applySteps(plan.steps, {
      agentAt,
      journal,
      clock,
      signal,
      soakMs: experiment.duration_ms,
      parallel: experiment.parallel,
      emit,
      held,
      claims,
    })
    ending = effective ? { outcome: 'completed' } : { outcome: 'ineffective', reason: whyIneffective(plan) }
    const ended = await lookAgain(plan.steps, { run: input.run, runs, journal, agentAt, clock, signal, emit })
    // A place that failed did not end the others; the run did not do all that it planned.
    if (failed) ending = endingOf(failed, NEVER)
    else if (ended) ending = endingOf(ended, NEVER)
  } catch (error) {
    ending = endingOf(error, signal)
    if (ending.outcome === 'aborted') emit({ type: 'run.aborting', reason: ending.reason ?? '', code: 'ABORTED' })
  }
  return endRun({
    ...ending,
    started,
    ...{ runs, secrets, history },
    journal,
    places: fleet.members.map(({ place }) => place),
    reach: (place) => Promise.resolve(agentAt(place)),
    clock,
    held,
    noProgressMs: NO_PROGRESS_MS,
    boot: input.boot,
    recovered: false,
    mask,
    emit,
  })
}

/** The secret before the journal: without it an operator whose shell lacks our variables could not recover the run. */
async function openJournal(started: Started, input: RunInput): Promise<Journal> {
  const { runs, secrets, ballast, experiment, run } = input
  let journal: Journal | undefined
  try {
    await ballast.make()
    await secrets.keep(run, experiment.target_config)
    journal = await runs.create(run)
    await journal.append(started, { durable: true })
    return journal
  } catch (error) {
    // Nothing was applied: nothing of this run needs to stay.
    await journal?.close().catch(() => undefined)
    await forgetRun(input, run).catch(() => undefined)
    throw error
  }
}

function whyIneffective(plan: RunPlan): string {
  if (plan.steps.length > 0) return 'no step took effect'
  const skipped = listed(plan.skipped.map((s) => `${s.resource}: ${s.reason}`))
  return `there was nothing to do${skipped === '' ? '' : `: ${skipped}`}`
}

function endingOf(
  error: unknown,
  signal: AbortSignal,
): { outcome: Outcome; reason: string; code?: ErrorCode; about?: Facts } {
  if (signal.aborted) {
    // A bug of ours stops a run as well; that one is nobody's wish.
    const bug = signal.reason instanceof CodedError && signal.reason.code === 'WORKER_LOST'
    const reason = messageOf(signal.reason)
    return bug ? { outcome: 'failed', reason, code: 'WORKER_LOST' } : { outcome: 'aborted', reason, code: 'ABORTED' }
  }
  const code = error instanceof CodedError ? error.code : undefined
  const outcome = error instanceof RefusedError || code?.startsWith('CONFIG') ? 'refused' : 'failed'
  return { outcome, reason: messageOf(error), ...factsOf(error) }
}

/** The run ended before anything could be changed: a report without steps. */
async function notBegun(error: unknown, startedAt: string, endpoint: string, input: RunInput): Promise<Report> {
  const { experiment, history, clock, signal, emit, run } = input
  const ending = endingOf(error, signal)
  const report: Report = {
    run,
    experiment: experiment.name,
    target: experiment.target,
    endpoint,
    seed: input.seed,
    outcome: ending.outcome,
    reason: ending.reason,
    ...(ending.code === undefined ? {} : { code: ending.code }),
    ...(ending.about ? { about: ending.about } : {}),
    recovered: false,
    started_at: startedAt,
    finished_at: new Date(clock.now()).toISOString(),
    soak_ms: experiment.duration_ms,
    residue: [],
    steps: [],
    notes: [],
    exit_code: exitCodeOf({ ...ending, residue: [], journalFailed: false }),
  }
  await history
    .keep(report)
    .catch((cause: unknown) => emit({ type: 'run.warning', code: 'report', message: messageOf(cause) }))
  emit({ type: 'run.finished', report })
  return report
}
