/** One entry of `experiments:`, in either of its two forms, with the settings it does not override. */
import type { z } from 'zod'
import { formatDuration } from '../core/duration.ts'
import { DEFAULT_TIMING } from '../core/experiment.ts'
import type { Limits, Safety, ScheduledExperiment, Timing } from '../core/experiment.ts'
import { protectedNames } from '../core/guard.ts'
import type { Target } from '../core/target.ts'
import { check } from './check.ts'
import { pace, where } from './kinds.ts'
import { checkSchedule, sixFields, warnOfSchedule } from './schedule.ts'
import type { Cron, TimeContext } from './schedule.ts'
import { experimentSchema, flatEntrySchema, homes, limitsSchema, wrapperSchema } from './schema.ts'
import type { settingsSchema } from './schema.ts'
import type { Source } from './source.ts'
import { checkPace, checkSkills, checkTargetConfig, checkWhere, findTarget } from './targets.ts'
import type { Path } from './tree.ts'

type SettingsPart = z.output<typeof settingsSchema>
type WrapperPart = Omit<z.output<typeof wrapperSchema>, 'experiment'>
type ExperimentPart = z.output<typeof experimentSchema>

export interface EntryContext {
  targets: readonly Target[]
  /** Undefined when the settings are wrong: what depends on them is not checked. */
  settings: SettingsPart | undefined
  time: TimeContext
  /** Undefined when no entry has a schedule. */
  cron: Cron | undefined
}

/** The entry at `path`, or undefined after reporting everything that is wrong with it. */
export function readEntry(source: Source, path: Path, context: EntryContext): ScheduledExperiment | undefined {
  const parts = readParts(source, path)
  const body = bodyPath(source, path)
  if (context.cron) checkSchedule(source, [...path, 'schedule'], context.cron)
  const target = findTarget(source, [...body, 'target'], context.targets)
  const configPath = [...body, 'target_config']
  const config = target && checkTargetConfig(source, configPath, target)
  if (target) checkWhere(source, [...body, 'where'], target)
  const soak = experimentSchema.shape.duration.safeParse(source.get([...body, 'duration']))
  checkPace(source, body, soak.data)
  const skills = checkSkills(source, [...body, 'skills'], {
    target,
    targets: context.targets,
    configPath,
    config,
    spread: source.get([...body, 'spread']) === true,
    pace: pace.read(source.get([...body, 'pace'])),
    soakMs: soak.data,
    where: where.read(source.get([...body, 'where'])),
  })
  checkSoak(source, path, context.settings)
  if (!parts || !context.settings || !target || config === undefined || !skills) return undefined

  const { entry, experiment } = parts
  const { settings } = context
  const safety = safetyOf(settings, experiment, entry)
  const filled = [...source.filledBelow(path), ...source.filledBelow(['settings', 'limits'])]
  const read: ScheduledExperiment = {
    experiment: {
      name: experiment.name,
      target: target.name,
      target_config: config,
      skills,
      duration_ms: experiment.duration,
      parallel: experiment.parallel,
      ...(experiment.pace === undefined ? {} : { pace: experiment.pace }),
      resource_filters: experiment.resource_filters,
      safety,
      ...(filled.length === 0 ? {} : { filled }),
    },
    ...(entry.schedule === undefined ? {} : { schedule: sixFields(entry.schedule) }),
    enabled: entry.enabled,
    ...timingOf(settings, entry),
  }
  if (source.problems.length === 0) warn(source, path, read, target, context)
  return read
}

/** Where the experiment itself stands: below `experiment:`, or the entry is the experiment. */
export function bodyPath(source: Source, path: Path): Path {
  return source.get([...path, 'experiment']) === undefined ? path : [...path, 'experiment']
}

function readParts(source: Source, path: Path): { entry: WrapperPart; experiment: ExperimentPart } | undefined {
  const body = bodyPath(source, path)
  if (body === path) {
    const both = check(source, flatEntrySchema, path, { elsewhere: () => homes('settings') })
    // The two forms share their safety keys; in the flat one they are all the entry's.
    return both && { entry: both, experiment: both }
  }
  const entry = check(source, wrapperSchema, path, { elsewhere: () => homes('wrapper') })
  const experiment = check(source, experimentSchema, body, { elsewhere: () => homes('experiment') })
  return entry && experiment && { entry, experiment }
}

type TimingPart = Pick<SettingsPart, TimingKey>
type TimingKey = 'timezone' | 'on_busy' | 'jitter' | 'on_missed' | 'missed_grace' | 'windows' | 'blackouts'

/** The entry's word counts before the settings'; but the windows and blackouts of both hold. */
function timingOf(settings: TimingPart, entry: TimingPart): Timing {
  const [far, near, preset] = [settings, entry, DEFAULT_TIMING]
  return {
    timezone: near.timezone ?? far.timezone ?? preset.timezone,
    on_busy: near.on_busy ?? far.on_busy ?? preset.on_busy,
    jitter_ms: near.jitter ?? far.jitter ?? preset.jitter_ms,
    on_missed: near.on_missed ?? far.on_missed ?? preset.on_missed,
    missed_grace_ms: near.missed_grace ?? far.missed_grace ?? preset.missed_grace_ms,
    windows: [far.windows ?? [], near.windows ?? []].filter((layer) => layer.length > 0),
    blackouts: [...(far.blackouts ?? []), ...(near.blackouts ?? [])],
  }
}

export const DEFAULT_LIMITS: Limits = { rows: 100_000, resources: 50, percent: 50, duration_ms: 4 * 3_600_000 }

type SafetyPart = Pick<SettingsPart, 'limits' | 'allow' | 'protected' | 'failsafe'>

/** The nearest word counts: the entry's, the experiment's, the settings', the default. Lists are replaced, limits one by one. */
function safetyOf(...farToNear: SafetyPart[]): Safety {
  const safety: Safety = { limits: { ...DEFAULT_LIMITS }, allow: [], protected: [], failsafe: 'warn' }
  for (const { limits, allow, protected: forbidden, failsafe } of farToNear) {
    safety.limits.rows = limits?.rows ?? safety.limits.rows
    safety.limits.resources = limits?.resources ?? safety.limits.resources
    safety.limits.percent = limits?.percent ?? safety.limits.percent
    safety.limits.duration_ms = limits?.duration ?? safety.limits.duration_ms
    safety.allow = allow ?? safety.allow
    safety.protected = forbidden ?? safety.protected
    safety.failsafe = failsafe ?? safety.failsafe
  }
  return safety
}

/** Reads only the keys it needs, so that it also speaks when other keys are wrong. */
function checkSoak(source: Source, path: Path, settings: SettingsPart | undefined): void {
  if (settings === undefined) return
  const body = bodyPath(source, path)
  const places = [
    ['settings', 'limits'],
    [...body, 'limits'],
    [...path, 'limits'],
  ]
  const layers = places.map((place) => limitsSchema.safeParse(source.get(place) ?? {}))
  const soak = experimentSchema.shape.duration.safeParse(source.get([...body, 'duration']))
  if (!soak.success || layers.some((layer) => !layer.success)) return
  const nearest = layers.findLastIndex((layer) => layer.data?.duration !== undefined)
  const longest = layers[nearest]?.data?.duration ?? DEFAULT_LIMITS.duration_ms
  if (soak.data <= longest) return

  const written = source.seen([...body, 'duration'])
  const limit = source.seen([...(places[nearest] ?? []), 'duration'])
  const what =
    written.kind === 'missing' ? `is not given, and its default ${formatDuration(soak.data)}` : (written.value ?? '')
  // Both texts may come from a variable, whose value is not shown.
  const shown = limit.kind === 'missing' ? formatDuration(longest) : (limit.value ?? limit.text)
  source.problem(
    [...body, 'duration'],
    `${what} is longer than limits.duration (${shown}): write a shorter duration, or raise limits.duration`.trim(),
  )
}

function warn(
  source: Source,
  path: Path,
  entry: ScheduledExperiment,
  target: Target,
  { settings, time, cron }: EntryContext,
): void {
  const body = bodyPath(source, path)
  if (cron) warnOfSchedule(source, [...path, 'schedule'], entry, cron, time)
  const { target_config: config, safety } = entry.experiment
  const refused = protectedNames(target.endpoint(config).names, safety)
  if (refused.length > 0) {
    source.warn(
      [...body, 'target_config'],
      `${refused.join(', ')} looks like production or is protected: runs will be refused unless it is named under allow`,
    )
  }
  for (const warning of target.warnings?.(config) ?? []) source.warn([...body, 'target_config'], warning)
  const dropped = (settings?.protected ?? []).filter((pattern) => !safety.protected.includes(pattern))
  if (dropped.length > 0) {
    source.warn(
      [...path, 'protected'],
      `replaces settings.protected: ${dropped.join(', ')} no longer protected here; repeat what is still to be`,
    )
  }
}
