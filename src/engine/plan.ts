/** Plan: what the run will do, decided and checked before anything is changed. */
import { counted, listed } from '../core/counted.ts'
import { ConfigError, RefusedError } from '../core/errors.ts'
import type { ConfigProblem } from '../core/errors.ts'
import type { Experiment } from '../core/experiment.ts'
import { bounded } from '../core/foreign.ts'
import { protectedNames } from '../core/guard.ts'
import { namesMachine } from '../core/identity.ts'
import { paceText } from '../core/pace.ts'
import { viewOf } from '../core/plan-view.ts'
import type { PlaceView, PlanView, StepView } from '../core/plan-view.ts'
import { markOf } from '../core/skill.ts'
import type { Phase, Planned, Resource, Scope, SkillInfo } from '../core/skill.ts'
import type { ClaimKey, Endpoint } from '../core/target.ts'
import { Allowance } from './allowance.ts'
import { matching } from './filters.ts'
import type { Fleet } from './fleet.ts'
import { paceOf, refuseTooSlow } from './pace.ts'
import type { Paced } from './pace.ts'
import { PlacePlanner } from './place-planner.ts'
import type { Found, Invocation } from './place-planner.ts'
import { placesOfEntries } from './where.ts'

export interface PlannedStep extends StepView, Paced {
  /** The place it is on; empty where the run's one place has no name. */
  place: string
  /** Index of the invocation it belongs to; invocations may be applied concurrently. */
  invocation: number
  phase: Phase
  version: number
  /** Ids on its place. */
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
  /** Of all places, in one order. */
  claims: PlacedClaim[]
  skipped: PlanView['skipped']
  notes: string[]
  /** For people only: it has the first of each list. */
  view: PlanView
}

export interface PlacedClaim extends ClaimKey {
  place: string
}

export interface PlanInput {
  fleet: Fleet
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
  const { fleet, experiment } = input
  refuseProtected(experiment, input.endpoint)
  input.onPhase('discover')
  const found = await discoverAll(input)
  const summary = summaryOf(found, fleet)
  input.onPhase('plan', summary)
  const invocations = await planInvocations(input, found)
  const steps = number(invocations, input)
  checkLimits(experiment, invocations)
  refuseImpossible(steps, input.skills)
  refuseTooSlow(steps, experiment.duration_ms)
  refuseWithoutMachine(invocations, found)
  const skipped = invocations.flatMap(({ skill, place, plan }) =>
    (plan.skipped ?? []).map((s) => ({ ...s, resource: idAt(place, s.resource), skill: skill.name })),
  )
  const notes = [...new Set([...invocations.flatMap(notesOf), ...withoutFailsafe(invocations)])]
  const resources = found.flatMap((one) => one.resources.map((r) => ({ ...r, id: idAt(one.place, r.id) })))
  return {
    ...{ steps, skipped, notes },
    claims: claimsOf(steps, input),
    view: viewOf({
      ...{ target: experiment.target, summary, resources, steps, skipped, notes, seed: input.seed },
      identity: fleet.named ? {} : (found[0]?.identity.parts ?? {}),
      ...(fleet.named ? { places: found.map(placeView) } : {}),
    }),
  }
}

/** A resource of a place with a name: `10.0.1.50/nginx.service`. */
export function idAt(place: string, id: string): string {
  return place === '' ? id : `${place}/${id}`
}

function placeView({ place, endpoint, identity, discovery }: Found): PlaceView {
  return { place, endpoint, identity: identity.parts, summary: discovery.summary }
}

function summaryOf(found: readonly Found[], { named }: Fleet): string {
  if (!named) return found[0]?.discovery.summary ?? ''
  const each = found.map(({ place, discovery }) => `${place}: ${discovery.summary}`)
  return bounded(`${counted(found.length, 'place')}: ${listed(each)}`)
}

function notesOf({ place, plan }: Invocation): string[] {
  return (plan.notes ?? []).map((note) => (place === '' ? note : `${place}: ${note}`))
}

/** All places side by side; filters are tried against what there is on all of them together. */
async function discoverAll({ fleet, experiment, signal }: PlanInput): Promise<Found[]> {
  const discoveries = await Promise.all(
    fleet.members.map(async (member) => ({ member, discovery: await member.agent.discover(signal) })),
  )
  const all = discoveries.flatMap(({ member, discovery }) =>
    discovery.resources.map((resource) => ({ ...resource, id: idAt(member.place, resource.id) })),
  )
  const kept = new Set(filterResources(all, experiment).map(({ id }) => id))
  return discoveries.map(({ member, discovery }) => ({
    ...member,
    discovery,
    resources: discovery.resources.filter(({ id }) => kept.has(idAt(member.place, id))),
  }))
}

/** `failsafe: warn`: names the faults that stay until this program is started again. */
function withoutFailsafe(invocations: Invocation[]): string[] {
  const names = invocations.flatMap(({ skill, plan }) =>
    skill.failsafe === 'none' && plan.steps.length > 0 ? [skill.name] : [],
  )
  if (names.length === 0) return []
  return [
    `nothing on the target itself ends ${[...new Set(names)].join(', ')} should this program never come back; its next start does`,
  ]
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

async function planInvocations(input: PlanInput, found: readonly Found[]): Promise<Invocation[]> {
  const { experiment, seed, signal, fleet } = input
  const { limits, failsafe } = experiment.safety
  const given = { experiment, seed, signal, named: fleet.named }
  const systems = new Set(found.map(({ identity }) => identity.scopes.resource)).size
  // Places are planned side by side, so each has its share: what one may pick must not depend on who answers first.
  const share = { ...limits, resources: Math.max(1, Math.floor(limits.resources / Math.max(1, systems))) }
  const planners = found.map(
    (one) => new PlacePlanner(one, found, new Allowance(one.discovery.resources, share), given),
  )
  const places = placesOfEntries(
    experiment.skills,
    found.map(({ place }) => place),
    seed,
  )
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
    const here = planners.filter(({ place }) => places[index]?.includes(place))
    for (let n = 0; n < entry.count; n++) {
      const answers = await allOf(
        here.map((planner) => planner.plan(skill, entry, `${index}/${n}`, paceOf(entry, index, experiment))),
      )
      const plans = answers.filter((answer) => 'plan' in answer)
      const wrong = answers.filter((answer) => 'problems' in answer)
      // A resource may exist on some of the places only.
      invocations.push(...plans, ...(plans.length === 0 ? [] : wrong.map(({ instead }) => instead)))
      if (plans.length > 0) continue
      problems.push(...wrong.flatMap((one) => one.problems.map((p) => located(p, index, experiment))))
      break
    }
  }
  if (problems.length > 0) throw new ConfigError(unique(problems), 'CONFIG_NOT_ON_TARGET')
  return invocations
}

/** Waits for all of them, even where one fails, so that no work goes on behind the error. Throws the first error. */
export async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** Everything that is not on the target is reported at once, like every other mistake in a configuration. */
function located(problem: ConfigProblem, index: number, experiment: Experiment): ConfigProblem {
  if (problem.line > 0) return problem
  const path = [`skills[${index}]`, problem.path].filter((part) => part !== '').join('.')
  return onTarget(experiment, path, problem.message)
}

/** Places that say the same say it once. */
function unique(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...new Map(problems.map((one) => [JSON.stringify(one), one])).values()]
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
  { skill, place, paced }: Invocation,
  invocation: number,
  step: number,
  input: PlanInput,
): PlannedStep {
  return {
    step,
    place,
    invocation,
    phase: skill.phase,
    ...paced,
    skill: skill.name,
    version: skill.version,
    resource: idAt(place, planned.resource),
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
  const touched = invocations.flatMap(({ system, plan }) => plan.steps.map((step) => idAt(system, step.resource)))
  const resources = new Set(touched).size
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

/** A step that goes in the soak would wait behind a lock that this run holds itself. */
function refuseImpossible(steps: PlannedStep[], skills: readonly SkillInfo[]): void {
  const phases = new Map<string, Phase>(skills.map(({ name, phase }) => [name, phase]))
  /** Of each id the first two that hold it: one of them is another step than the one that is looked at. */
  const holders = new Map<string, PlannedStep[]>()
  for (const step of steps.filter(({ skill }) => phases.get(skill) === 'held'))
    for (const id of touchedBy(step)) {
      const some = holders.get(id) ?? []
      if (some.length < 2) holders.set(id, [...some, step])
    }
  for (const step of steps.filter(({ pace }) => pace !== 'at_once')) {
    const blocker = touchedBy(step)
      .flatMap((id) => holders.get(id) ?? [])
      .find((h) => h !== step)
    if (blocker) {
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `${step.skill} on ${step.resource} goes in the soak (pace ${paceText(step.pace)}), but ${blocker.skill} of the same run holds ${blocker.resource}; leave out pace or spread, or use two experiments`,
      )
    }
  }
}

/** Refuses steps that are local to one machine where its identity cannot be read: a recovery could not tell it from a clone. */
function refuseWithoutMachine(invocations: readonly Invocation[], found: readonly Found[]): void {
  const nameless = new Set(found.filter(({ identity }) => !namesMachine(identity.parts)).map(({ place }) => place))
  const local = invocations.find(
    ({ skill, place, plan }) => skill.machineLocal && plan.steps.length > 0 && nameless.has(place),
  )
  if (local === undefined) return
  const where = local.place === '' ? 'the target' : local.place
  throw new RefusedError(
    'REFUSED_UNSUITABLE',
    `${local.skill.name} changes what is local to one machine, and ${where} shows neither an address nor a machine id: after a crash nobody could tell it from a copy of itself`,
  )
}

/** What it touches, by names that no other place has. */
export function touchedBy({ place, touches }: Pick<PlannedStep, 'place' | 'touches'>): string[] {
  return touches.map((id) => idAt(place, id))
}

function claimsOf(steps: PlannedStep[], { skills, fleet }: PlanInput): PlacedClaim[] {
  const claims = new Map<string, PlacedClaim>()
  const scopes = new Map<string, Scope>(skills.map((skill) => [skill.name, skill.scope]))
  for (const { skill, place, touches } of steps) {
    const scope = scopes.get(skill) ?? 'resource'
    for (const id of touches) {
      const key = `${fleet.at(place).identity.scopes[scope]}/${id}`
      claims.set(`${place} ${key}`, { place, scope, key })
    }
  }
  return [...claims.values()].sort((a, b) => (a.key < b.key ? -1 : 1))
}
