/**
 * The contract between the engine and a skill (one kind of fault). The engine never names a target and a target never
 * names the engine: they meet here.
 */
import type { ZodType } from 'zod'
import type { Clock } from './clock.ts'
import type { Observed } from './observed.ts'
import type { Random } from './random.ts'

/** One thing on a target that can be touched. */
export interface Resource {
  /** Unique on its target, e.g. `public.users` or `10.0.1.50/nginx.service`; filters are tried against it… */
  id: string
  /** …and against the bare name, e.g. `users`. */
  name: string
  /** `table`, `setting`, `service`… */
  kind: string
  /** One line for people, e.g. `12,000 rows, 3.1 MB`. */
  detail?: string
  /** Why no skill picks it by itself, although params may name it. */
  aside?: string
}

/** What a claim on a resource must cover: the whole server, one database of it, or just the resource. */
export type Scope = 'server' | 'database' | 'resource'

/** When a step runs within its run: data, then settings, then held things (so that a lock does not stop our own later steps). */
export type Phase = 'data' | 'setting' | 'held'

/** What ends the fault if we never come back: something on the target, the end of our session, or nothing but us. */
export type Failsafe = 'target' | 'session' | 'none'

/** Plain JSON: what will change and what is needed to undo it. At most 1 MiB. */
export interface Planned<S> {
  /** The resource's id, as discovered. */
  resource: string
  /**
   * Ids of everything the undo depends on, `resource` included (a table and its foreign-key neighbours). Steps whose
   * lists overlap are undone strictly last first, and two runs never hold the same id at once: for that, an id must be
   * touched by skills of one scope only.
   */
  touches: string[]
  /** Finer keys of the skill's own, only added to `taken` for later invocations of this run: rows of a table. */
  takes?: string[]
  step: S
  /** Records it changes or creates, for `limits.rows`; absent where the word has no meaning. */
  rows?: number
  /** How long its apply may take, milliseconds; 15 minutes unless given. Steps that are held before it are held for so much longer. */
  applyMs?: number
  /** One line, no customer values: `insert 1000 rows into public.users (batch 1 of 10)`. */
  describe: string
}

/** A resource the skill would have picked but did not, and why. */
export interface Skipped {
  resource: string
  reason: string
  /** What would lift the reason, e.g. a `GRANT …` line. */
  fix?: string
}

export interface Plan<S> {
  steps: Planned<S>[]
  skipped?: Skipped[]
  /** Things worth knowing before the run: comments that will be lost, an index that is missing. */
  notes?: string[]
}

export interface PlanContext<Reader> {
  /** Reads only. */
  target: Reader
  /** Everything discovered, after `resource_filters`: what the skill may pick by itself. */
  resources: readonly Resource[]
  /** Everything discovered, unfiltered: what params may name. */
  all: readonly Resource[]
  /** What is discovered on other places of the run and not here: what params name may be there alone. */
  elsewhere?: ReadonlySet<string>
  /** Resource ids (or finer keys of the skill's own) used by earlier invocations of this skill in this run; `count: n` repeats stay disjoint. */
  taken: ReadonlySet<string>
  /** How many resources of a kind the skill may still pick by itself (`limits.percent`, `limits.resources`); what params name is not counted here. */
  mayPick(kind: string): number
  /** How long the fault will be held, milliseconds. */
  soakMs: number
  /** How many invocations of the run are applied at once; 1 unless given. */
  sideBySide?: number
  random: Random
  signal: AbortSignal
}

interface StepContext<Client> {
  target: Client
  /** Our name on what this step creates: `chaos-<install>-<run>-<step>`, lower case, at most 50 characters. */
  mark: string
  clock: Clock
  signal: AbortSignal
}

/** The last part of `heldMs` is for the undo: what is held is ended first, and nothing is armed again. */
export const UNDO_MS = 60_000

/** Something kept alive during the soak (a session, a socket). Closed first, last one first. */
export interface Holdable {
  close(): Promise<void>
  /** The soak is over: nothing is put in place again any more. What is in effect is read once, and then closed. */
  stopRenewing?(): void
  /** Resolves with why, when it ends by itself before `close`; never rejects. Then the run ends and says so. */
  readonly lost?: Promise<string>
}

export interface ApplyContext<Client, S> extends StepContext<Client> {
  /** Facts learnt half-way (keys, before-images): durable when it resolves. Call it before COMMIT. The same field twice throws. */
  record(facts: Partial<S>): Promise<void>
  hold(resource: Holdable): void
  /**
   * The longest that the step can be held, from now on, milliseconds: this apply and those still to come, the soak, and
   * `UNDO_MS` for the undo. A fail-safe on the target is armed with it: with less it would end the fault before its soak is over.
   */
  heldMs: number
}

export type InspectContext<Client> = StepContext<Client>

export interface RevertContext<Client, S> extends StepContext<Client> {
  /** Journals how far a long undo got, and tells the engine that it is alive (the deadline is one of no progress). */
  progress(facts: Partial<S>): Promise<void>
}

/**
 * What was read on the target, counted in the skill's own unit (rows, settings, locks).
 * A step took effect when `inEffect > 0` or `load > 0`; it is undone when `inEffect === 0`.
 */
export interface Inspection {
  /** Still carries our mark or value. */
  inEffect: number
  /** Reads as before the step. */
  restored: number
  /** Changed by somebody else since; left alone by the undo and reported as kept. */
  foreign: number
  /** Work done that leaves nothing to undo (rows written with the values they had); it counts as an effect. */
  load?: number
  /** Names of what is in effect or foreign, for a person: at most 20, keys but no other customer values. */
  names?: string[]
}

/** Whether what was read means that something happened at all. */
export function tookEffect({ inEffect, load = 0 }: Inspection): boolean {
  return inEffect + load > 0
}

/** What a survey asks a skill to plan, to learn what it could serve. */
export interface Ask {
  /** The one resource it is about. */
  resource?: string
  params: Record<string, unknown>
}

/** What the commands for a person are made from, without any connection. */
export interface ByHandContext {
  mark: string
  /** The run's target_config as the journal has it: without secrets. */
  config: unknown
}

/** How a person undoes a step that we cannot. */
export interface ByHand {
  /** For `sh`, to be run in this order; a line that begins with `#` is a remark. As harmless to strangers as the undo itself. */
  lines: string[]
  /** They hold values that were there before (of customers, of settings), and are only written where nobody else can read them. */
  holdsValues: boolean
}

/** A kind of fault, as a target's author writes it. `S` is the step: plain JSON, validated by `step` when read back from the journal. */
export interface SkillSpec<Reader, Client extends Reader, P, S> {
  /** `<target>.<verb>`: `db.insert_load`. */
  name: `${string}.${string}`
  summary: string
  params: ZodType<P>
  step: ZodType<S>
  /** Of the step's format; raise it when a step of the last one is not one of this. */
  version: number
  /** A step of an older format, with the facts that were recorded for it, as one of this format. Pure; it is parsed by `step` then. */
  readOld?(step: object, version: number): object
  scope: Scope
  phase: Phase
  failsafe: Failsafe
  /** What it changes is local to one machine: it is undone only where an address or a machine id shows that it is that one. */
  machineLocal?: boolean
  /** What a survey plans, where the defaults alone would not show what could be served. Without it: once, with the defaults. */
  asks?(resources: readonly Resource[]): Ask[]
  /** Decides, and changes nothing. */
  plan(ctx: PlanContext<Reader>, params: P): Promise<Plan<S>>
  /** Makes one change (one transaction). An error means "maybe applied"; never called twice. Throws StaleError if the world moved on since plan. */
  apply(ctx: ApplyContext<Client, S>, step: S): Promise<void>
  /** Reads back. Called after apply and after revert; must not change anything. */
  inspect(ctx: InspectContext<Client>, step: S): Promise<Inspection>
  /** What the target counted meanwhile; for the report alone. Called once everything of the run has ended, before revert. */
  observe?(ctx: InspectContext<Client>, step: S): Promise<Observed>
  /** Total (right after never, partly, fully, twice), compare-and-set, re-resolving, bounded, harmless to strangers. */
  revert(ctx: RevertContext<Client, S>, step: S): Promise<void>
  /** The same for a person at a terminal, from the step alone. Pure. */
  byHand(step: S, ctx: ByHandContext): ByHand
}

/** What everybody but the target itself may know of a skill. */
export type SkillInfo = Pick<
  SkillSpec<unknown, unknown, unknown, unknown>,
  'name' | 'summary' | 'version' | 'readOld' | 'scope' | 'phase' | 'failsafe' | 'machineLocal' | 'asks' | 'byHand'
> & { params: ZodType; step: ZodType }

/** The longest mark: fits application_name (63), a systemd unit name and a Kubernetes label value. */
export const MARK_LENGTH = 50

/** `chaos-<install>-<run>-<step>`; step 0 is the run's own control connection. */
export function markOf(install: string, run: string, step: number): string {
  return `${runMark(install, run)}${step}`
}

/** Undefined for what is no mark. */
export function readMark(mark: string): { install: string; run: string; step: number } | undefined {
  const [, install, run, step] = /^chaos-([a-z0-9]{4,12})-([a-z0-9]+)-(\d+)$/.exec(mark) ?? []
  return install === undefined || run === undefined ? undefined : { install, run, step: Number(step) }
}

/** What every mark of a run begins with; `run` may be empty for all runs of the install. */
export function runMark(install: string, run: string): string {
  return run === '' ? `chaos-${install}-` : `chaos-${install}-${run}-`
}
