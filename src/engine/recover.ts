/** Recovery: undoes what a crash left, with the same rollback, after making sure that it is the same target. */
import { setMaxListeners } from 'node:events'
import type { Clock } from '../core/clock.ts'
import { connectBounded } from '../core/bounded-agent.ts'
import { CodedError, messageOf, TargetError } from '../core/errors.ts'
import { harmless } from '../core/events.ts'
import type { EventBody } from '../core/events.ts'
import type { Report } from '../core/report.ts'
import { identityMismatch, machineDoubt } from '../core/identity.ts'
import type { Identity } from '../core/identity.ts'
import { firstIssue } from '../core/target.ts'
import type { Agent, Place, Target } from '../core/target.ts'
import { pendingSteps, placesOf } from '../journal/journal.ts'
import type { JournalRecord, PlaceStarted, RunStarted, StepState } from '../journal/journal.ts'
import { hasDied } from '../journal/quarantine.ts'
import type { Ballast } from '../journal/ballast.ts'
import type { History } from '../journal/history.ts'
import type { Runs } from '../journal/runs.ts'
import type { Secrets } from '../journal/secrets.ts'
import { endRun } from './end.ts'
import { refuseAlive } from './other-install.ts'
import { closeWithin } from './rollback.ts'
import { sweep } from './sweep.ts'

export interface RecoverInput {
  run: string
  /** The install id of whoever recovers it. */
  install: string
  runs: Runs
  secrets: Secrets
  history: History
  ballast: Ballast
  target: Target
  /** Tried in this order: the current configuration's (a rotated password), then the one the run was started with. */
  targetConfigs: unknown[]
  clock: Clock
  signal: AbortSignal
  noProgressMs: number
  /** Which start of the machine this is, where it tells: what is quarantined in it is not tried. */
  boot?: string | undefined
  handOver?: HandOver
  /** Waits until this run may begin on a system that others are recovered on, too; resolves with what says that it is done. */
  begin?(system: string): Promise<() => void>
  /** With it, sessions of this install that belong to no live run are ended too: they may hold what the undo needs. */
  isLive?(run: string): Promise<boolean>
  emit(event: EventBody): void
}

/** What an operator decides about a run that cannot be undone as it is. */
export interface HandOver {
  /** Where to reach its target now; tried before everything else. */
  target_config?: unknown
  /** It is the same system, although it says something else of itself. */
  accept_identity?: boolean
  /** These steps (without a list: all that are pending) may stay as they are. */
  accept_residue?: { steps?: number[]; note: string }
  /** What is quarantined (without a list: all of it) is tried again, now. */
  retry?: { steps?: number[] }
}

/**
 * Undoes one open run. Throws when its one system cannot be reached or is another one: then everything stays as it is. Of
 * places with names, those that are away or are another system now are residue, and nothing is changed there.
 */
export async function recoverRun(input: RecoverInput): Promise<Report> {
  const { run, runs, secrets, history, ballast, clock } = input
  // Each place listens to it, in each of its calls.
  setMaxListeners(0, input.signal)
  const emit = harmless((event: EventBody) => input.emit(event))
  const before = await runs.read(run)
  const { started } = before
  if (!started)
    throw new TargetError('TARGET_FAILED', `the journal ${runs.where(run)} has no start: nothing was applied`)
  if (input.handOver) await takeWord(input, input.handOver)
  const pending = pendingSteps(await runs.read(run))
  const needed = placesToUndo(started, pending)
  const places = new Recovered(started, needed, onMachines(input.target, pending), { ...input, emit })
  try {
    // One system decides alone whether there is anything to do; of several each does it by itself.
    if (started.places === undefined) await places.reach('')
    // Fill the ballast again where a full disk has used it. The undo does not depend on it.
    await ballast.make().catch(() => undefined)
    const journal = await runs.resume(run)
    const outcome = before.undo?.outcome ?? 'aborted'
    const reason = before.undo?.reason ?? 'its process ended before the soak was over'
    return await endRun({
      started,
      ...{ runs, secrets, history },
      journal,
      places: needed,
      reach: (place) => places.reach(place),
      left: (place) => places.left(place),
      clock,
      outcome,
      ...(outcome === 'completed' ? {} : { reason }),
      held: [],
      noProgressMs: input.noProgressMs,
      boot: input.boot,
      recovered: true,
      emit,
    })
  } finally {
    await places.close()
  }
}

/** Where something is left to undo. A journal of one system may not know what is in flight there: it is always looked at. */
function placesToUndo(started: RunStarted, pending: readonly StepState[]): string[] {
  if (started.places === undefined) return ['']
  return [...new Set(pending.map(({ place }) => place))]
}

/** The places on which a step that is still to be undone has changed what is local to one machine. */
function onMachines({ skills }: Target, pending: readonly StepState[]): ReadonlySet<string> {
  const local = new Set<string>(skills.flatMap(({ name, machineLocal }) => (machineLocal ? [name] : [])))
  return new Set(pending.flatMap(({ place, skill }) => (local.has(skill) ? [place] : [])))
}

/** The places of a run that is recovered: each is connected to when the run may begin there, and known by its identity. */
class Recovered {
  readonly #started: RunStarted
  readonly #onMachines: ReadonlySet<string>
  readonly #input: RecoverInput
  readonly #agents = new Map<string, Promise<Agent>>()
  readonly #places: ReadonlyMap<string, PlaceStarted>
  /** Places that are not undone yet, by system. */
  readonly #open = new Map<string, Set<string>>()
  readonly #begun = new Map<string, Promise<() => void>>()

  constructor(started: RunStarted, needed: readonly string[], onMachines: ReadonlySet<string>, input: RecoverInput) {
    this.#started = started
    this.#onMachines = onMachines
    this.#input = input
    this.#places = new Map(placesOf(started).map((one) => [one.place, one]))
    for (const place of needed) {
      const system = this.#systemOf(place)
      this.#open.set(system, (this.#open.get(system) ?? new Set()).add(place))
    }
  }

  reach(place: string): Promise<Agent> {
    const known = this.#agents.get(place) ?? this.#connect(place)
    this.#agents.set(place, known)
    return known
  }

  /** With the last of its places the run is done with a system. */
  left(place: string): void {
    const system = this.#systemOf(place)
    const open = this.#open.get(system)
    open?.delete(place)
    if ((open?.size ?? 0) === 0) this.#end(system)
  }

  async close(): Promise<void> {
    const agents = await Promise.all([...this.#agents.values()].map((agent) => agent.catch(() => undefined)))
    await Promise.all(agents.flatMap((agent) => (agent ? [closeWithin(agent, this.#input.clock)] : [])))
    for (const system of this.#begun.keys()) this.#end(system)
  }

  async #connect(place: string): Promise<Agent> {
    const input = this.#input
    const at = this.#places.get(place)
    if (!at) throw new TargetError('TARGET_FAILED', `the journal names no place ${JSON.stringify(place)}`)
    await this.#begin(this.#systemOf(place))
    const agent = await agentFor(this.#started, at, this.#onMachines.has(place), input)
    if (agent === nothingLeft) return agent
    try {
      await refuseAlive(agent, this.#started, input.install, input.signal)
      await sweepOwn(agent, this.#started.install, input)
      return agent
    } catch (error) {
      await closeWithin(agent, input.clock)
      throw error
    }
  }

  async #begin(system: string): Promise<void> {
    const begun = this.#begun.get(system) ?? this.#input.begin?.(system)
    if (!begun) return
    this.#begun.set(system, begun)
    await begun
  }

  #end(system: string): void {
    void this.#begun.get(system)?.then(
      (end) => end(),
      () => undefined,
    )
    this.#begun.delete(system)
  }

  #systemOf(place: string): string {
    return this.#places.get(place)?.identity.scopes.server ?? ''
  }
}

/** Younger ones may be a `--dry-run` that is looking. */
const SWEPT_AFTER_MS = 60_000

/** What an earlier process left without a journal: killed while it planned, or on a machine that is gone. Never stops an undo. */
async function sweepOwn(agent: Agent, install: string, input: RecoverInput): Promise<void> {
  const { isLive, run, signal, emit } = input
  // This process does not know which runs of another installation are live.
  if (!isLive || install !== input.install) return
  try {
    const live = async (other: string): Promise<boolean> => other === run || isLive(other)
    const swept = await sweep({
      ...{ agent, of: install, remove: install, isLive: live, olderThanMs: SWEPT_AFTER_MS, signal },
    })
    for (const { mark, describe } of swept.filter((one) => one.removed))
      emit({
        type: 'run.warning',
        code: 'swept',
        about: { resource: mark },
        message: `ended ${describe} (${mark}): it was left by a run that is over`,
      })
  } catch (error) {
    emit({
      type: 'run.warning',
      code: 'not_swept',
      message: `what older runs may have left was not looked for: ${messageOf(error)}`,
    })
  }
}

/** Journals the operator's decisions before the undo begins: accepted steps are not undone, released ones are tried again. */
async function takeWord({ run, runs }: RecoverInput, { accept_residue: accepted, retry }: HandOver): Promise<void> {
  if (!accepted && !retry) return
  const pending = pendingSteps(await runs.read(run))
  const meant = (steps: number[] | undefined): StepState[] => {
    const unknown = steps?.filter((step) => !pending.some((p) => p.step === step)) ?? []
    if (unknown.length === 0) return pending.filter(({ step }) => steps === undefined || steps.includes(step))
    const there = pending.map((p) => p.step).join(', ')
    throw new CodedError('USAGE', `step ${unknown.join(', ')} is not pending; there is ${there || 'none'}`)
  }
  const records: JournalRecord[] = [
    ...(accepted ? meant(accepted.steps) : []).map(
      ({ step }) => ({ type: 'step.accepted', step, note: accepted?.note ?? '' }) as const,
    ),
    ...(retry ? meant(retry.steps) : [])
      .filter((step) => hasDied(step))
      .map(({ step }) => ({ type: 'step.released', step }) as const),
  ]
  if (records.length === 0) return
  const journal = await runs.resume(run)
  try {
    for (const record of records) await journal.append(record, { durable: true })
  } finally {
    await journal.close()
  }
}

/** Connects to nothing where no step is pending: the target may be gone for good. */
async function agentFor(
  started: RunStarted,
  at: PlaceStarted,
  onMachine: boolean,
  input: RecoverInput,
): Promise<Agent> {
  const accepted = input.handOver?.accept_residue !== undefined
  if (accepted && pendingSteps(await input.runs.read(input.run)).length === 0) return nothingLeft
  return connectSame(started, at, onMachine, input)
}

const nothingLeft: Agent = {
  identity: gone,
  discover: gone,
  plan: gone,
  claim: gone,
  quiesce: () => Promise.resolve(),
  apply: gone,
  inspect: gone,
  observe: gone,
  revert: gone,
  sweep: gone,
  close: () => Promise.resolve(),
}

function gone(): Promise<never> {
  return Promise.reject(new TargetError('TARGET_UNREACHABLE', 'nothing of this run is left to undo'))
}

/** A connection to the very system the run was started on, by its identity; names and addresses prove nothing. */
async function connectSame(
  started: RunStarted,
  at: PlaceStarted,
  onMachine: boolean,
  { target, targetConfigs, run, clock, signal, emit, handOver = {} }: RecoverInput,
): Promise<Agent> {
  emit({ type: 'run.phase', phase: 'connect', detail: at.endpoint })
  const errors: unknown[] = []
  const given = handOver.target_config === undefined ? [] : [handOver.target_config]
  for (const [index, raw] of [...given, ...targetConfigs].entries()) {
    const parsed = target.config.safeParse(raw)
    if (!parsed.success) {
      errors.push(
        new TargetError(
          'TARGET_FAILED',
          `its configuration is not one of this version (${firstIssue(parsed.error)}): chaos recover --run ${run} --target-config FILE says where it is`,
        ),
      )
      continue
    }
    let agent: Agent | undefined
    try {
      const found = placeIn(started, at, target, parsed.data)
      // What an operator gives may be that one system, wherever it is now. Only its identity shows which of the places it is.
      const alone = found === undefined && index < given.length
      const place = alone ? { config: parsed.data, endpoint: target.endpoint(parsed.data) } : found
      if (!place) throw new TargetError('TARGET_UNREACHABLE', `its configuration does not lead to ${at.place}`)
      agent = await connectBounded(target, place.config, { install: started.install, run, clock, signal })
      const { key } = place.endpoint
      const now = (await agent.identity(signal)).parts
      const doubt = otherSystem(at, now, key) ?? (onMachine ? machineDoubt(at.identity.parts, now) : undefined)
      if (doubt === undefined || (handOver.accept_identity === true && !alone)) return agent
      errors.push(new TargetError('IDENTITY_MISMATCH', `${key} is not the system that run ${run} changed: ${doubt}`))
    } catch (error) {
      errors.push(error)
    }
    if (agent) await closeWithin(agent, clock)
  }
  const mismatch = errors.find((e): e is TargetError => e instanceof TargetError && e.code === 'IDENTITY_MISMATCH')
  if (mismatch) throw mismatch
  const texts = [...new Set(errors.map(messageOf))]
  throw new TargetError('TARGET_UNREACHABLE', texts.join('; ') || `no configuration for run ${run} is left`)
}

function placeIn(
  started: RunStarted,
  { place }: PlaceStarted,
  target: Target,
  config: unknown,
): Pick<Place, 'config' | 'endpoint'> | undefined {
  if (started.places === undefined) return { config, endpoint: target.endpoint(config) }
  const ids = started.places.map((one) => one.place)
  return target.places?.at(config, place, ids)
}

/** Why it is not the same system; undefined when it is. Where neither can be told from another, the address must be the same. */
function otherSystem(at: PlaceStarted, now: Identity['parts'], endpoint: string): string | undefined {
  const then = at.identity.parts
  const differing = identityMismatch(then, now)
  if (differing.length > 0) return `${differing.join(', ')} differ`
  const compared = Object.keys(then).some((part) => (then[part] ?? null) !== null && (now[part] ?? null) !== null)
  if (compared || endpoint === at.endpoint) return undefined
  return `it does not say who it is, and the run was on ${at.endpoint}`
}
