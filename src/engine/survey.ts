/** Survey: what is on a target, and what each of its skills could do with it. Every answer is that of the skill's own plan. */
import { CodedError, messageOf, TargetError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { withoutEnd } from '../core/foreign.ts'
import { seededRandom } from '../core/random.ts'
import type { Ask, Plan, SkillInfo, Skipped } from '../core/skill.ts'
import type { Served, SkillSurvey, Survey } from '../core/survey.ts'
import type { Identity } from '../core/identity.ts'
import type { Agent, Discovery, Target } from '../core/target.ts'

export interface SurveyInput {
  agent: Agent
  identity: Identity
  target: Pick<Target, 'name' | 'skills'>
  signal: AbortSignal
  onPhase(phase: 'discover' | 'plan', detail?: string): void
}

/** Questions about single resources that one skill is asked at most. */
const MOST_ASKED = 200
/** The shortest soak there could be: a survey is about what, not about how long. */
const SOAK_MS = 1_000

export async function surveyTarget(input: SurveyInput): Promise<Survey> {
  const { agent, identity, target, signal } = input
  input.onPhase('discover')
  const discovery = await agent.discover(signal)
  input.onPhase('plan', discovery.summary)
  const skills: SkillSurvey[] = []
  for (const skill of target.skills) skills.push(await surveySkill(input, skill, discovery))
  return { target: target.name, identity: identity.parts, ...discovery, skills }
}

async function surveySkill(input: SurveyInput, skill: SkillInfo, { resources }: Discovery): Promise<SkillSurvey> {
  const asks = skill.asks?.(resources) ?? [{ params: {} }]
  const served = new Map<string, Served>()
  const skipped = new Map<string, Skipped>()
  const notes = new Set<string>()
  for (const ask of asks.slice(0, MOST_ASKED)) {
    input.signal.throwIfAborted()
    const plan = await answer(input, skill, ask, resources)
    for (const { resource, describe } of plan.steps) {
      if (!served.has(resource)) served.set(resource, { resource, describe, params: ask.params })
    }
    for (const one of plan.skipped ?? []) if (!skipped.has(one.resource)) skipped.set(one.resource, one)
    // Notes about one resource belong into the plan of a run that touches it.
    if (ask.resource === undefined) for (const note of plan.notes ?? []) notes.add(note)
  }
  // Nobody asks about what is used only where it is named.
  const kinds = new Set(asks.map(({ resource }) => resources.find((r) => r.id === resource)?.kind))
  for (const { id, kind, aside } of resources) {
    if (aside !== undefined && kinds.has(kind) && !skipped.has(id)) skipped.set(id, { resource: id, reason: aside })
  }
  if (asks.length > MOST_ASKED) notes.add(`asked about the first ${MOST_ASKED} of ${asks.length} only`)
  return {
    skill: skill.name,
    served: [...served.values()].sort(byResource),
    skipped: [...skipped.values()].filter((one) => !served.has(one.resource)).sort(byResource),
    notes: [...notes],
  }
}

/** The plan, without any limit; a refusal is an answer too. */
async function answer(
  { agent, signal }: SurveyInput,
  skill: SkillInfo,
  { resource = '', params }: Ask,
  resources: Discovery['resources'],
): Promise<Plan<object>> {
  try {
    return await agent.plan(skill.name, params, {
      resources,
      all: resources,
      taken: new Set(),
      mayPick: () => Infinity,
      soakMs: SOAK_MS,
      random: seededRandom('survey'),
      signal,
    })
  } catch (error) {
    if (!isAnswer(error)) throw error
    return { steps: [], skipped: [{ resource, ...reasonOf(error) }] }
  }
}

/** True for errors that are about a skill and what it was asked for; others are about the connection. */
export function isAnswer(error: unknown): error is CodedError {
  return error instanceof CodedError && ANSWERS.includes(error.code)
}

const ANSWERS: readonly ErrorCode[] = [
  'REFUSED_UNSUITABLE',
  'REFUSED_CLAIMED',
  'TARGET_PRIVILEGE',
  'TARGET_FAILED',
  'CONFIG_NOT_ON_TARGET',
]

function reasonOf(error: CodedError): Pick<Skipped, 'reason' | 'fix'> {
  const message = messageOf(error)
  if (!(error instanceof TargetError) || error.fix === undefined) return { reason: message }
  return { reason: withoutEnd(message.replace(error.fix, ''), ':;'), fix: error.fix }
}

function byResource(a: { resource: string }, b: { resource: string }): number {
  return a.resource < b.resource ? -1 : 1
}
