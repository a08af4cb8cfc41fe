/** What is planned on one place of a run: a skill is written for one, and knows nothing of the others. */
import { ConfigError } from '../core/errors.ts'
import type { ConfigProblem } from '../core/errors.ts'
import type { Experiment, SkillEntry } from '../core/experiment.ts'
import { seededRandom } from '../core/random.ts'
import type { Random } from '../core/random.ts'
import type { Plan, Resource, SkillInfo } from '../core/skill.ts'
import type { Discovery } from '../core/target.ts'
import type { Allowance } from './allowance.ts'
import type { Member } from './fleet.ts'
import type { Paced } from './pace.ts'

/** What was found on one place of the run. */
export interface Found extends Member {
  discovery: Discovery
  /** What the filters leave, as the place itself calls it. */
  resources: Resource[]
}

export interface Invocation {
  skill: SkillInfo
  place: string
  /** Of the place's claims: places with one scope are one system to whoever counts resources. */
  system: string
  paced: Paced
  plan: Plan<object>
}

export interface PlannerInput {
  experiment: Experiment
  seed: string
  /** Whether the run's places have names. */
  named: boolean
  signal: AbortSignal
}

export class PlacePlanner {
  readonly #found: Found
  readonly #allowance: Allowance
  readonly #input: PlannerInput
  readonly #random: Random
  readonly #elsewhere: ReadonlySet<string>
  /** By skill: different kinds of faults may share a table, repeats of one may not. */
  readonly #taken = new Map<string, Set<string>>()

  constructor(found: Found, all: readonly Found[], allowance: Allowance, input: PlannerInput) {
    this.#found = found
    this.#allowance = allowance
    this.#input = input
    const random = seededRandom(input.seed)
    // Instances of one system get the same fault in the same thing; systems of their own are drawn from one by one.
    this.#random = input.named ? random.fork(found.identity.scopes.resource) : random
    const here = new Set(found.discovery.resources.map(({ id }) => id))
    const others = all.flatMap((one) => (one === found ? [] : one.discovery.resources.map(({ id }) => id)))
    this.#elsewhere = new Set(others.filter((id) => !here.has(id)))
  }

  get place(): string {
    return this.#found.place
  }

  /** What of the entry is not on this place comes as `problems`, and `instead` says so where it is on another. */
  async plan(
    skill: SkillInfo,
    entry: SkillEntry,
    label: string,
    paced: Paced,
  ): Promise<Invocation | { problems: readonly ConfigProblem[]; instead: Invocation }> {
    const { experiment, signal } = this.#input
    const { place, agent, identity, discovery, resources } = this.#found
    const taken = this.#taken.get(skill.name) ?? new Set<string>()
    this.#taken.set(skill.name, taken)
    const invocation = { skill, place, system: identity.scopes.resource, paced }
    try {
      const plan = await agent.plan(entry.skill_name, entry.params, {
        resources: this.#allowance.open(resources),
        all: discovery.resources,
        elsewhere: this.#elsewhere,
        taken,
        mayPick: (kind) => this.#allowance.mayPick(kind),
        soakMs: experiment.duration_ms,
        sideBySide: experiment.parallel ? invocationsOf(experiment) : 1,
        random: this.#random.fork(label),
        signal,
      })
      for (const step of plan.steps) {
        this.#allowance.pick(step.resource)
        for (const id of [...step.touches, ...(step.takes ?? [])]) taken.add(id)
      }
      return { ...invocation, plan: explained(plan, skill) }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const notes = error.problems.map(({ message }) => `${skill.name} does nothing there: ${message}`)
      return { problems: error.problems, instead: { ...invocation, plan: { steps: [], notes } } }
    }
  }
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
