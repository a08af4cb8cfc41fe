/** Plan: what the run will do, decided and checked before anything is changed. */
import { counted } from '../core/counted.ts'
import { ConfigError, RefusedError } from '../core/errors.ts'
import type { ConfigProblem } from '../core/errors.ts'
import type { Experiment } from '../core/experiment.ts'
import { protectedNames } from '../core/guard.ts'
import { viewOf } from '../core/plan-view.ts'
import type { PlanView, StepView } from '../core/plan-view.ts'
import { seededRandom } from '../core/random.ts'
import { markOf } from '../core/skill.ts'
import type { Phase, Plan, Planned, Resource, Scope, SkillInfo } from '../core/skill.ts'
import type { Agent, ClaimKey, Discovery, Endpoint, Identity } from '../core/target.ts'
import { Allowance } from './allowance.ts'
import { matching } from './filters.ts'

export interface PlannedStep extends StepView {
  /** Index of the invocation it belongs to; invocations may be applied concurrently. */
  invocation: number
  phase: Phase
  spread: boolean
  version: number
  touches: string[]
  mark: string
  /** How long its apply may take. */
  apply_ms: number
  data: object
}

/** An apply that has not come back by then is taken as "maybe applied", and its session is ended by the rollback. */
const APPLY_MS = 15 * 60_000

export interface RunPlan {
  steps: PlannedStep[]
  claims: ClaimKey[]
  skipped: PlanView['skipped']
  notes: string[]
  /** For people only: it has the first of each list. */
  view: PlanView
}

export interface PlanInput {
  agent: Agent
  identity: Identity
  experiment: Experiment
  endpoint: Endpoint
  skills: readonly SkillInfo[]
  install: string
  run: string
  seed: string
  signal: AbortSignal
  onPhase(phase: 'discover' | 'plan', detail?: string): void
}

/** Discovers and plans. Throws ConfigError for names that are not on the target, RefusedError for safety rules. */
export async function planRun(input: PlanInput): Promise<RunPlan> {
  const { agent, experiment, signal } = input
  refuseProtected(experiment, input.endpoint)
  input.onPhase('discover')
  const discovery = await agent.discover(signal)
  input.onPhase('plan', discovery.summary)
  const resources = filterResources(discovery.resources, experiment)
  const invocations = await planInvocations(input, discovery, resources)
  const steps = number(invocations, input)
  checkLimits(experiment, invocations)
  refuseImpossible(steps, input.skills)
  const skipped = invocations.flatMap(({ skill, plan }) =>
    (plan.skipped ?? []).map((s) => ({ ...s, skill: skill.name })),
  )
  const notes = [...new Set([...invocations.flatMap(({ plan }) => plan.notes ?? []), ...withoutFailsafe(invocations)])]
  const told = { target: experiment.target, identity: input.identity.parts, summary: discovery.summary }
  return {
    ...{ steps, skipped, notes },
    claims: claimsOf(steps, input),
    view: viewOf({ ...told, resources, steps, skipped, notes, seed: input.seed }),
  }
}

/** `failsafe: warn`: which faults would stay for as long as nobody starts us again. */
function withoutFailsafe(invocations: Invocation[]): string[] {
  const names = invocations.flatMap(({ skill, plan }) =>
    skill.failsafe === 'none' && plan.steps.length > 0 ? [skill.name] : [],
  )
  if (names.length === 0) return []
  return [
    `nothing on the target itself ends ${[...new Set(names)].join(', ')} should this program never come back; its next start does`,
  ]
}

interface Invocation {
  skill: SkillInfo
  spread: boolean
  plan: Plan<object>
}

/** The production guard: needs the names only, so it is asked before anybody connects, too. */
export function refuseProtected(experiment: Experiment, endpoint: Endpoint): void {
  const names = protectedNames(endpoint.names, experiment.safety)
  if (names.length === 0) return
  throw new RefusedError(
    'REFUSED_PROTECTED',
    `${names.join(', ')} looks like production or is protected; if it really may be broken, name it under allow: [${names.map((n) => JSON.stringify(n)).join(', ')}]`,
  )
}

function filterResources(resources: Resource[], experiment: Experiment): Resource[] {
  if (experiment.resource_filters.length === 0) return resources
  const problems: ConfigProblem[] = []
  const kept = new Set<Resource>()
  experiment.resource_filters.forEach((filter, index) => {
    const hits = matching(filter, resources)
    for (const hit of hits) kept.add(hit)
    if (hits.length === 0) {
      const some = resources
        .slice(0, 5)
        .map((r) => r.id)
        .join(', ')
      problems.push(
        onTarget(
          experiment,
          `resource_filters[${index}]`,
          `${JSON.stringify(filter)} matches nothing; there is ${some || 'nothing'}`,
        ),
      )
    }
  })
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return resources.filter((r) => kept.has(r))
}

function onTarget(experiment: Experiment, path: string, message: string): ConfigProblem {
  return { file: `experiment ${JSON.stringify(experiment.name)}`, line: 0, column: 0, path, message }
}

async function planInvocations(input: PlanInput, discovery: Discovery, resources: Resource[]): Promise<Invocation[]> {
  const { agent, experiment, signal } = input
  const { limits, failsafe } = experiment.safety
  const random = seededRandom(input.seed)
  /** By skill: different kinds of faults may share a table, repeats of one may not. */
  const takenBy = new Map<string, Set<string>>()
  const allowance = new Allowance(discovery.resources, limits)
  const invocations: Invocation[] = []
  const problems: ConfigProblem[] = []
  for (const [index, entry] of experiment.skills.entries()) {
    const skill = input.skills.find((s) => s.name === entry.skill_name)
    if (!skill)
      throw new RefusedError('REFUSED_UNSUITABLE', `no skill ${entry.skill_name} on target ${experiment.target}`)
    if (failsafe === 'require' && skill.failsafe === 'none') {
      throw new RefusedError(
        'REFUSED_FAILSAFE',
        `${skill.name} has nothing on the target that ends the fault if this program never comes back, and failsafe is "require"`,
      )
    }
    const taken = takenBy.get(skill.name) ?? new Set<string>()
    takenBy.set(skill.name, taken)
    for (let n = 0; n < entry.count; n++) {
      try {
        const plan = await agent.plan(entry.skill_name, entry.params, {
          resources: allowance.open(resources),
          all: discovery.resources,
          taken,
          mayPick: (kind) => allowance.mayPick(kind),
          soakMs: experiment.duration_ms,
          sideBySide: experiment.parallel ? invocationsOf(experiment) : 1,
          random: random.fork(`${index}/${n}`),
          signal,
        })
        for (const step of plan.steps) {
          allowance.pick(step.resource)
          for (const id of [...step.touches, ...(step.takes ?? [])]) taken.add(id)
        }
        invocations.push({ skill, spread: entry.spread, plan: explained(plan, skill) })
      } catch (error) {
        // Everything that is not on the target is reported at once, like every other mistake in a configuration.
        if (!(error instanceof ConfigError)) throw error
        problems.push(
          ...error.problems.map((p) =>
            p.line > 0
              ? p
              : {
                  ...onTarget(
                    experiment,
                    [`skills[${index}]`, p.path].filter((part) => part !== '').join('.'),
                    p.message,
                  ),
                },
          ),
        )
        break
      }
    }
  }
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return invocations
}

function invocationsOf({ skills }: Experiment): number {
  return skills.reduce((sum, { count }) => sum + count, 0)
}

/** An invocation that found nothing to do says so. */
function explained(plan: Plan<object>, skill: SkillInfo): Plan<object> {
  if (plan.steps.length > 0 || (plan.skipped ?? []).length > 0) return plan
  return {
    ...plan,
    notes: [...(plan.notes ?? []), `${skill.name} found nothing (more) to touch within the filters and limits`],
  }
}

/** The order within a run. */
export const PHASES: readonly Phase[] = ['data', 'setting', 'held']

/** Data, then settings, then held things; numbered in that order, each with its mark. */
function number(invocations: Invocation[], input: PlanInput): PlannedStep[] {
  return PHASES.flatMap((phase) =>
    invocations.flatMap((invocation, index) =>
      invocation.skill.phase === phase ? invocation.plan.steps.map((planned) => ({ invocation, index, planned })) : [],
    ),
  ).map(({ invocation, index, planned }, i) => toStep(planned, invocation, index, i + 1, input))
}

function toStep(
  planned: Planned<object>,
  { skill, spread }: Invocation,
  invocation: number,
  step: number,
  input: PlanInput,
): PlannedStep {
  return {
    step,
    invocation,
    phase: skill.phase,
    spread,
    skill: skill.name,
    version: skill.version,
    resource: planned.resource,
    touches: [...new Set([planned.resource, ...planned.touches])],
    describe: planned.describe,
    mark: markOf(input.install, input.run, step),
    apply_ms: planned.applyMs ?? APPLY_MS,
    data: planned.step,
  }
}

function checkLimits(experiment: Experiment, invocations: Invocation[]): void {
  const { limits } = experiment.safety
  const steps = invocations.flatMap(({ plan }) => plan.steps)
  const rows = steps.reduce((sum, step) => sum + (step.rows ?? 0), 0)
  const resources = new Set(steps.map((step) => step.resource)).size
  if (rows > limits.rows) {
    throw new RefusedError(
      'REFUSED_LIMIT',
      `the run would change ${counted(rows, 'row')} and limits.rows is ${limits.rows}; lower the run or raise the limit`,
    )
  }
  if (resources > limits.resources) {
    throw new RefusedError(
      'REFUSED_LIMIT',
      `the run would touch ${counted(resources, 'resource')} and limits.resources is ${limits.resources}`,
    )
  }
}

/** A step spread over the soak would wait behind a lock that this run holds itself. */
function refuseImpossible(steps: PlannedStep[], skills: readonly SkillInfo[]): void {
  const phases = new Map<string, Phase>(skills.map(({ name, phase }) => [name, phase]))
  /** Of each id the first two that hold it: one of them is another step than the one that is looked at. */
  const holders = new Map<string, PlannedStep[]>()
  for (const step of steps.filter(({ skill }) => phases.get(skill) === 'held'))
    for (const id of step.touches) {
      const some = holders.get(id) ?? []
      if (some.length < 2) holders.set(id, [...some, step])
    }
  for (const step of steps.filter(({ spread }) => spread)) {
    const blocker = step.touches.flatMap((id) => holders.get(id) ?? []).find((h) => h !== step)
    if (blocker) {
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `${step.skill} on ${step.resource} is spread over the soak, but ${blocker.skill} of the same run holds ${blocker.resource}; leave out spread or use two experiments`,
      )
    }
  }
}

function claimsOf(steps: PlannedStep[], { skills, identity }: PlanInput): ClaimKey[] {
  const claims = new Map<string, ClaimKey>()
  const scopes = new Map<string, Scope>(skills.map((skill) => [skill.name, skill.scope]))
  for (const step of steps) {
    const scope = scopes.get(step.skill) ?? 'resource'
    for (const id of step.touches) {
      const key = `${identity.scopes[scope]}/${id}`
      claims.set(key, { scope, key })
    }
  }
  return [...claims.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}
