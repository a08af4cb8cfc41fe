/** `chaos discover CONFIG`: what the agents see of each experiment's target, and what each skill could do there. Changes nothing. */
import { loadConfig } from '../config/load.ts'
import { ConfigError } from '../core/errors.ts'
import type { ConfigProblem } from '../core/errors.ts'
import { visibleData } from '../core/foreign.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Skipped } from '../core/skill.ts'
import type { SkillSurvey, Survey } from '../core/survey.ts'
import type { Target } from '../core/target.ts'
import { matching } from '../engine/filters.ts'
import { refuseProtected } from '../engine/plan.ts'
import { paintFor } from '../observe/paint.ts'
import type { Paint } from '../observe/paint.ts'
import { chosen } from './select-experiments.ts'
import { json, table } from './context.ts'
import type { Context } from './context.ts'
import { onlooker } from './read-only-supervisor.ts'

export interface DiscoverOptions {
  stateDir?: string
  only?: string
  json?: boolean
}

interface Filter {
  experiment: string
  filter: string
  matches: string[]
}

/** One target, and everything that is said of it. */
interface Discovered extends Survey {
  endpoint: string
  experiments: string[]
  filters: Filter[]
}

export async function discover(context: Context, file: string, options: DiscoverOptions): Promise<number> {
  const targets = await context.targets()
  const config = await loadConfig(file, { targets, env: context.env, learn: context.learn })
  const experiments = chosen(config, options.only)
  for (const warning of config.warnings) context.err(`warning: ${warning}\n`)
  for (const experiment of experiments) refuseProtected(experiment, endpointOf(experiment, targets))
  const supervisor = await onlooker(context, options.stateDir, experiments)
  const found: Discovered[] = []
  for (const group of byTarget(experiments)) {
    const [first] = group
    if (!first) continue
    const survey = await supervisor.looks.survey(first)
    const one: Discovered = {
      experiments: group.map((e) => e.name),
      endpoint: endpointOf(first, targets).key,
      ...survey,
      filters: group.flatMap((e) => filtersOf(e, survey)),
    }
    found.push(one)
    if (options.json !== true) context.out(text(visibleData(one), paintFor(context)))
  }
  if (options.json === true) context.out(json({ targets: found }))
  else context.out('nothing was changed\n')
  // Shown first, so that whoever has to correct the filter sees what there is.
  const problems = found.flatMap(({ filters }) => filters.filter((f) => f.matches.length === 0).map(matchesNothing))
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
  return 0
}

function endpointOf({ target, target_config }: Experiment, targets: readonly Target[]): ReturnType<Target['endpoint']> {
  return targets.find((t) => t.name === target)?.endpoint(target_config) ?? { key: '', names: [] }
}

/** Experiments that reach their target in the very same way: another role would see something else. */
function byTarget(experiments: readonly Experiment[]): Experiment[][] {
  const groups = new Map<string, Experiment[]>()
  for (const experiment of experiments) {
    const key = JSON.stringify([experiment.target, experiment.target_config])
    groups.set(key, [...(groups.get(key) ?? []), experiment])
  }
  return [...groups.values()]
}

function filtersOf({ name, resource_filters }: Experiment, { resources }: Survey): Filter[] {
  return resource_filters.map((filter) => ({
    experiment: name,
    filter,
    matches: matching(filter, resources).map((r) => r.id),
  }))
}

function matchesNothing({ experiment, filter }: Filter): ConfigProblem {
  const place = { file: `experiment ${JSON.stringify(experiment)}`, line: 0, column: 0, path: 'resource_filters' }
  return { ...place, message: `${JSON.stringify(filter)} matches nothing` }
}

function text(found: Discovered, paint: Paint): string {
  const { experiments, endpoint, summary, identity, resources, skills, filters } = found
  return [
    `${paint('bold', endpoint)}  (${experiments.join(', ')})\n`,
    `  ${summary}\n`,
    `  identity: ${Object.entries(identity)
      .map(([part, value]) => `${part} ${value ?? 'unreadable'}`)
      .join(', ')}\n`,
    ...kindsOf(resources).map((kind) => resourceLines(kind, resources, paint)),
    resources.length === 0 ? '  nothing is there\n' : '',
    '  what each skill could touch:\n',
    ...skills.map((skill) => skillLines(skill, resources, paint)),
    ...filters.map(
      ({ experiment, filter, matches }) =>
        `  resource_filters of ${experiment}: ${JSON.stringify(filter)} matches ${matches.join(', ') || 'nothing'}\n`,
    ),
  ].join('')
}

function kindsOf(resources: Survey['resources']): string[] {
  return [...new Set(resources.map((r) => r.kind))]
}

function resourceLines(kind: string, resources: Survey['resources'], paint: Paint): string {
  const ofKind = resources.filter((r) => r.kind === kind)
  const rows = table(ofKind.map(({ id, detail = '' }) => [`    ${id}`, detail === '' ? '' : paint('dim', detail)]))
  return `  ${ofKind.length} ${kind}${ofKind.length === 1 ? '' : 's'}\n${rows}`
}

function skillLines(
  { skill, served, skipped, notes }: SkillSurvey,
  resources: Survey['resources'],
  paint: Paint,
): string {
  // What is not among the resources was asked about for the sake of an answer: a setting stands for all of them.
  const example = served.length > 0 && !resources.some((r) => r.id === served[0]?.resource)
  const names = served.map((s) => s.resource).join(', ') + (example ? ' (for example)' : '')
  return [
    `    ${skill}  ${names === '' ? paint('yellow', 'nothing') : paint('green', names)}\n`,
    ...skipped.map((one) => `${skippedLines(one, paint)}\n`),
    ...notes.map((note) => `      ${paint('yellow', 'note')}: ${note}\n`),
  ].join('')
}

/** A reason, and the statements that would lift it, each on a line of its own to be copied. */
function skippedLines({ resource, reason, fix }: Skipped, paint: Paint): string {
  const dash = paint('dim', '–')
  return [`      ${dash} ${resource}: ${reason}`, ...(fix ?? '').split('\n').filter((line) => line !== '')].join(
    '\n          ',
  )
}
