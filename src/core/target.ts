/** A kind of system (Target) and a live connection to one (Agent). */
import type { ZodError, ZodType } from 'zod'
import type { Clock } from './clock.ts'
import { RefusedError, StepError } from './errors.ts'
import type { Identity } from './identity.ts'
import type { Observed } from './observed.ts'
import type { Sample } from './sample.ts'
import type { Sandbox, SandboxOptions } from './sandbox.ts'
import type {
  ApplyContext,
  InspectContext,
  Inspection,
  Plan,
  PlanContext,
  Resource,
  RevertContext,
  Scope,
  SkillInfo,
  SkillSpec,
} from './skill.ts'
import type { FromUrl, Suggestion, Survey } from './survey.ts'

export interface Discovery {
  resources: Resource[]
  /** One line about the system: version, size, sessions of the application. */
  summary: string
}

/** Something found on a target that carries a mark. */
export interface Leftover {
  mark: string
  kind: string
  describe: string
  /** By the target's own clock, milliseconds; absent where it does not know. */
  age_ms?: number
}

/** The engine's side of a skill's contexts: everything but the client, which the agent adds. */
export type AgentPlanContext = Omit<PlanContext<never>, 'target'>
export type AgentApplyContext = Omit<ApplyContext<never, object>, 'target'> & StepFormat
export type AgentInspectContext = Omit<InspectContext<never>, 'target'> & StepFormat
export type AgentRevertContext = Omit<RevertContext<never, object>, 'target'> & StepFormat

interface StepFormat {
  /** Of the step's format, as the journal has it. */
  version: number
}

/** A live connection to one target. Everything that goes in or out as a step is plain JSON. */
export interface Agent {
  identity(signal: AbortSignal): Promise<Identity>
  discover(signal: AbortSignal): Promise<Discovery>
  plan(skill: string, params: unknown, ctx: AgentPlanContext): Promise<Plan<object>>
  /** Takes claims on the target itself, with something that dies with us; throws RefusedError naming the holder. */
  claim(keys: readonly ClaimKey[], signal: AbortSignal): Promise<Claim>
  /**
   * Ends everything on the target that carries a mark of this run and is ours, but our own control, and waits until it is gone.
   * A mark is a name that anybody can take: what carries one and cannot be shown to be ours is left alone, keeps nobody waiting
   * for long, and is told in a few words when the rest is gone: `session 4711 of role billing (chaos-…-1)`. Where only the facts
   * of a step can show that (the key of a lease), nothing of the run lands any more, and the undo of the step ends it.
   */
  quiesce(run: string, signal: AbortSignal, stranger?: (words: string) => void): Promise<void>
  apply(skill: string, step: unknown, ctx: AgentApplyContext): Promise<void>
  inspect(skill: string, step: unknown, ctx: AgentInspectContext): Promise<Inspection>
  /** Undefined for a skill whose target counts nothing. */
  observe(skill: string, step: unknown, ctx: AgentInspectContext): Promise<Observed | undefined>
  revert(skill: string, step: unknown, ctx: AgentRevertContext): Promise<void>
  /**
   * How it is doing now; rejects where it does not answer. It changes nothing, and waits behind nothing that the run itself does.
   * Absent where the target tells nothing of itself.
   */
  sample?(signal: AbortSignal): Promise<Sample>
  /** Everything on the target that carries a mark of this install (of any, without one) and is ours, but our own control. */
  sweep(install: string | undefined, signal: AbortSignal): Promise<Leftover[]>
  close(): Promise<void>
}

/** Claims that are held on a target until its connection is closed. */
export interface Claim {
  /** Resolves with why, when they are not ours any more: others may change the same things by then. Never rejects. */
  readonly lost?: Promise<string>
}

export interface ClaimKey {
  scope: Scope
  /** `<identity scope>/<resource>`. */
  key: string
}

/** Where a configuration points, without connecting. */
export interface Endpoint {
  /** Equal for configurations that name the same place the same way: `postgres://db:5432/staging`. No credentials. */
  key: string
  /** Host, database, namespace, context names: what `allow` and `protected` patterns are tried against. */
  names: string[]
}

/** One system that fails by itself: a host, an instance of an application. */
export interface Place {
  /** Stable, and shown to people: `10.0.1.50`, `/run/shop/a.sock`. */
  id: string
  endpoint: Endpoint
  /** What `connect` is called with to reach this place alone. */
  config: unknown
}

/** For a target whose configuration may name several systems. */
export interface Places<C = unknown> {
  /** Ids of those that are there now, each once; one or none: the configuration as a whole is the place. Reads only. */
  list(config: C, signal: AbortSignal): Promise<string[]>
  /**
   * The place with this id; undefined where the configuration does not lead there: an id may come from a journal that
   * somebody has put there. `all`: the ids of all places of the run, where the run is on every place that there is.
   */
  at(config: C, id: string, all?: readonly string[]): Place | undefined
}

export interface ConnectOptions {
  install: string
  run: string
  clock: Clock
  signal: AbortSignal
}

/** `C` is the type of `target_config` after parsing. */
export interface Target<C = unknown> {
  name: string
  config: ZodType<C>
  skills: readonly SkillInfo[]
  endpoint(config: C): Endpoint
  /** The config with every secret replaced, for journals, logs and reports. */
  redact(config: C): unknown
  /** Every secret value in the config, so that texts can be scrubbed of them. */
  secrets(config: C): string[]
  /** What to say of a config that can be used, where something better could be written: for `validate`. */
  warnings?(config: C): string[]
  /** For `chaos init`, where one URL says all that is needed: how such a URL is written (itself one), and what it means; undefined when it is none. */
  url?: { form: string; read(url: string): FromUrl | undefined }
  /** A first configuration: from what a survey found, or, without one, to be filled in by hand. */
  suggest?(survey?: Survey): Suggestion[]
  /** For `chaos selftest`: a scratch place that may be broken. The one thing a supervisor lets a target do in its own process. */
  sandbox?(options: SandboxOptions): Promise<Sandbox>
  connect(config: C, options: ConnectOptions): Promise<Agent>
  /** Without it a configuration names one system. */
  places?: Places<C>
}

/** Forgets a target's config type, for the registry. The config must have been parsed by that target's schema. */
export function defineTarget<C>(target: Target<C>): Target {
  return target
}

/** Forgets a skill's types, for a target's list; `runSkills` brings them back. */
export type AnySkill<Reader, Client extends Reader> = Omit<
  SkillSpec<Reader, Client, never, never>,
  'params' | 'step' | 'plan'
> & { params: ZodType; step: ZodType<object>; plan(ctx: PlanContext<Reader>, params: never): Promise<Plan<object>> }

/** The skill calls of an Agent, by skill name over JSON: finds the spec, parses params and steps, adds the client. */
export function runSkills<Reader, Client extends Reader>(
  skills: readonly AnySkill<Reader, Client>[],
  client: () => Client,
  reader: () => Promise<Reader>,
): Pick<Agent, 'plan' | 'apply' | 'inspect' | 'observe' | 'revert'> {
  const spec = (name: string): SkillSpec<Reader, Client, unknown, object> => {
    const found = skills.find((s) => s.name === name)
    if (!found)
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `no skill ${name} in this version: its steps cannot be run or undone`,
      )
    return found
  }
  return {
    plan: async (name, params, ctx) => {
      const plan = await spec(name).plan({ ...ctx, target: await reader() }, spec(name).params.parse(params))
      for (const { step } of plan.steps) refuseUnreadable(spec(name), step)
      return plan
    },
    apply: async (name, step, ctx) => {
      const record = readableAgain(spec(name), step, ctx.version, (facts) => ctx.record(facts))
      await spec(name).apply({ ...ctx, record, target: client() }, stepOf(spec(name), step, ctx.version))
    },
    inspect: async (name, step, ctx) =>
      spec(name).inspect({ ...ctx, target: client() }, stepOf(spec(name), step, ctx.version)),
    observe: async (name, step, ctx) =>
      spec(name).observe?.({ ...ctx, target: client() }, stepOf(spec(name), step, ctx.version)),
    revert: async (name, step, ctx) => {
      const progress = readableAgain(spec(name), step, ctx.version, (facts) => ctx.progress(facts))
      await spec(name).revert({ ...ctx, progress, target: client() }, stepOf(spec(name), step, ctx.version))
    },
  }
}

type StepShape<S = object> = { name: string; step: ZodType<S>; version: number; readOld?: SkillInfo['readOld'] }

/** Writes facts, unless the step could not be read with them afterwards: nobody could undo it then. */
function readableAgain(
  spec: StepShape,
  step: unknown,
  version: number,
  write: (facts: object) => Promise<void>,
): (facts: object) => Promise<void> {
  let known = step as object
  return async (facts) => {
    known = { ...known, ...facts }
    if (Object.keys(facts).length > 0) refuseUnreadable(spec, known, version)
    await write(facts)
  }
}

/** As it will be read from the journal: through JSON. */
function refuseUnreadable(skill: StepShape, step: object, version = skill.version): void {
  const parsed = skill.step.safeParse(inFormat(skill, JSON.parse(JSON.stringify(step)), version))
  if (parsed.success) return
  const { name } = skill
  throw new StepError(
    'STEP_FAILED',
    `${name} would write a step that cannot be read again (${firstIssue(parsed.error)})`,
  )
}

/**
 * A step as it stands in the journal, written in the format `version`. Throws StepError; final, like a skill that is not
 * there: what was written stays.
 */
export function stepOf<S>(skill: StepShape<S>, step: unknown, version: number): S {
  const parsed = version > skill.version ? undefined : skill.step.safeParse(inFormat(skill, step, version))
  if (parsed?.success) return parsed.data
  const why =
    parsed === undefined ? `format ${version}, and this version knows ${skill.version}` : firstIssue(parsed.error)
  throw new StepError(
    'REFUSED_UNSUITABLE',
    `a step of ${skill.name} does not have its format (${why}): run the version that wrote it`,
  )
}

/** A step of an older format as one of the skill's own. */
function inFormat<S>({ version: now, readOld }: StepShape<S>, step: unknown, version: number): unknown {
  return version < now && readOld && typeof step === 'object' && step !== null ? readOld(step, version) : step
}

/** Where it is and what was expected, in one line; what stands there is not shown. */
export function firstIssue({ issues }: ZodError): string {
  const [first] = issues
  const message = first?.message.replace(/^Invalid input: expected .*, received undefined$/, 'is missing') ?? ''
  return [first?.path.join('.') ?? '', message].filter((part) => part !== '').join(': ')
}
