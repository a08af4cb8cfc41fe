/** The part of an experiment that its target decides: `target`, `target_config` and the `skills` with their params. */
import { formatDuration } from '../core/duration.ts'
import type { SkillEntry, Where } from '../core/experiment.ts'
import type { Pace } from '../core/pace.ts'
import type { SkillInfo } from '../core/skill.ts'
import type { Target } from '../core/target.ts'
import { check } from './check.ts'
import { pace } from './kinds.ts'
import { laterSkill, laterTarget, NOT_HERE } from './later.ts'
import { homes, skillSchema } from './schema.ts'
import { fieldsOf } from './shape.ts'
import type { Source } from './source.ts'
import { didYouMean } from './suggest.ts'
import type { Path } from './tree.ts'

/** The registry's target that an experiment names, or undefined after saying why there is none. */
export function findTarget(source: Source, path: Path, targets: readonly Target[]): Target | undefined {
  const name = source.get(path)
  if (typeof name !== 'string') return undefined // the schema says so
  const target = targets.find((t) => t.name === name)
  if (target === undefined) {
    const { text, value } = source.seen(path)
    const names = targets.map((t) => t.name)
    const later = laterTarget(name, names)
    const problem =
      later !== undefined
        ? `target ${text} ${later}`
        : `unknown target ${text}${value === undefined ? '' : didYouMean(name, names)} (this version has: ${names.join(', ')})`
    source.problem(path, problem)
  }
  return target
}

/** `target_config` after the target's own schema; undefined after reporting. */
export function checkTargetConfig(source: Source, path: Path, target: Target): unknown {
  // A target without any configuration still gets to say what it needs.
  const value = source.get(path) === undefined ? {} : source.get(path)
  return check(source, target.config, path, { value })
}

export interface SkillsContext {
  target: Target | undefined
  targets: readonly Target[]
  /** Where `target_config` stands, and its parsed value if it has one. */
  configPath: Path
  config: unknown
  /** The experiment's `spread`, for skills that do not say. */
  spread: boolean
  /** The experiment's `pace`: an entry that says `spread: false` does not have it. */
  pace: Pace | undefined
  /** The experiment's soak, milliseconds. */
  soakMs: number | undefined
  /** The experiment's `where`, likewise. */
  where: Where | undefined
}

/** The experiment's skills, or undefined after reporting. */
export function checkSkills(source: Source, path: Path, context: SkillsContext): SkillEntry[] | undefined {
  const list = source.get(path)
  if (!Array.isArray(list)) return undefined // the schema says so
  const entries = list.map((_, index) => checkSkill(source, [...path, index], context))
  return entries.every((entry) => entry !== undefined) ? entries : undefined
}

function checkSkill(source: Source, path: Path, context: SkillsContext): SkillEntry | undefined {
  const skill = context.target && findSkill(source, [...path, 'skill_name'], context.target, context.targets)
  const elsewhere = () => ({ ...homes('skill'), ...homesInParams(skill) })
  const entry = check(source, skillSchema, path, { elsewhere })
  if (context.target) checkWhere(source, [...path, 'where'], context.target)
  checkPace(source, path, context.soakMs)
  if (!isMap(source.get(path)) || skill === undefined) return undefined
  const params = checkParams(source, [...path, 'params'], skill, context)
  if (entry === undefined || params === undefined) return undefined
  const where = entry.where ?? context.where
  const own = entry.pace ?? (entry.spread === false && context.pace !== undefined ? 'at_once' : undefined)
  return {
    ...{ skill_name: entry.skill_name, params, count: entry.count, spread: entry.spread ?? context.spread },
    ...(own === undefined ? {} : { pace: own }),
    ...(where === undefined ? {} : { where }),
  }
}

/** Of an experiment or a skill: one of `pace` and `spread`, and a ramp that ends within the soak. */
export function checkPace(source: Source, path: Path, soakMs: number | undefined): void {
  const written = source.get([...path, 'pace'])
  if (written === undefined) return
  if (source.get([...path, 'spread']) !== undefined)
    source.problem(
      [...path, 'spread'],
      'says the same as pace: write pace: spread or pace: at_once, and leave this out',
    )
  const read = pace.read(written)
  if (soakMs === undefined || typeof read !== 'object' || !('ramp_ms' in read) || read.ramp_ms < soakMs) return
  const longest = `the duration is ${formatDuration(soakMs)}`
  source.problem([...path, 'pace'], `is not over before the soak is: ${longest}; write a shorter ramp, or pace: spread`)
}

/** Places are for targets whose configuration may name several systems. */
export function checkWhere(source: Source, path: Path, target: Target): void {
  const value = source.get(path)
  if (value === undefined || value === 'all' || target.places !== undefined) return
  source.problem(path, `is for targets with several places, and ${target.name} is one system: leave it out`)
}

function homesInParams(skill: SkillInfo | undefined): Record<string, string> {
  const fields = skill ? fieldsOf(skill.params).filter((field) => !Object.hasOwn(skillSchema.shape, field)) : []
  return Object.fromEntries(fields.map((field) => [field, 'under "params:"']))
}

function findSkill(source: Source, path: Path, target: Target, targets: readonly Target[]): SkillInfo | undefined {
  const name = source.get(path)
  if (typeof name !== 'string' || name === '') return undefined // the schema says so
  const skill = target.skills.find((s) => s.name === name)
  if (skill === undefined) source.problem(path, whyNoSkill(source, path, name, target, targets))
  return skill
}

function whyNoSkill(source: Source, path: Path, name: string, target: Target, targets: readonly Target[]): string {
  const { text, value } = source.seen(path)
  const names = target.skills.map((s) => s.name)
  const has = `target ${target.name} has: ${names.join(', ')}`
  const owner = targets.find((t) => t.skills.some((s) => s.name === name))
  if (owner) return `skill ${text} is for target ${owner.name}, but this experiment's target is ${target.name} (${has})`
  const later = laterSkill(name)
  if (later === target.name) return `skill ${text} ${NOT_HERE} (${has})`
  if (later !== undefined && !targets.some((t) => t.name === later))
    return `skill ${text} is for target ${later}, which ${NOT_HERE} (${has})`
  const guess = value === undefined ? '' : didYouMean(name, names)
  return `unknown skill ${text}${guess} (${has})`
}

/**
 * The params as written, plus the fields of `target_config` that the skill knows too and the params leave out. They are
 * checked here and stay unparsed: the skill's schema parses them when it plans.
 */
function checkParams(
  source: Source,
  path: Path,
  skill: SkillInfo,
  { configPath, config }: SkillsContext,
): Record<string, unknown> | undefined {
  const written = source.get(path) === undefined ? {} : source.get(path)
  if (!isMap(written)) return undefined // the schema says so
  const offered = { ...asMap(config), ...asMap(source.get(configPath)) }
  const inherited = Object.fromEntries(
    Object.entries(offered).filter(
      ([field, value]) =>
        value !== undefined && !Object.hasOwn(written, field) && fieldsOf(skill.params).includes(field),
    ),
  )
  const value = { ...inherited, ...written }
  const parsed = check(source, skill.params, path, {
    value,
    writtenAt: (field) => (Object.hasOwn(inherited, field) ? [...configPath, field] : undefined),
    elsewhere: () => ({
      ...homes('skill'),
      count: BESIDE_PARAMS,
      spread: BESIDE_PARAMS,
      pace: BESIDE_PARAMS,
      where: BESIDE_PARAMS,
      skill_name: BESIDE_PARAMS,
    }),
  })
  return parsed === undefined ? undefined : value
}

const BESIDE_PARAMS = 'beside "params:"'

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asMap(value: unknown): Record<string, unknown> {
  return isMap(value) ? value : {}
}
