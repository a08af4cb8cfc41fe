/** Loads a configuration file: which file, line and column is wrong, and what to write there instead. Connects to nothing. */
import { dirname } from 'node:path'
import { ConfigError } from '../core/errors.ts'
import type { Config, ScheduledExperiment, Settings } from '../core/experiment.ts'
import type { Filled } from '../core/filled.ts'
import type { Target } from '../core/target.ts'
import { checkTargetConfig } from './targets.ts'
import { zoneCache } from '../schedule/zone.ts'
import type { Change } from '../schedule/zone.ts'
import { readHealth } from './address.ts'
import { check } from './check.ts'
import { clockChanges } from './clock-changes.ts'
import { bodyPath, readEntry } from './entries.ts'
import type { EntryContext } from './entries.ts'
import { readNotify } from './notify.ts'
import { warnOfPeriods } from './periods.ts'
import { readText } from './read.ts'
import { checkSchedule, sixFields } from './schedule.ts'
import type { TimeContext } from './schedule.ts'
import { fileSchema, homes, settingsSchema } from './schema.ts'
import { openSource, valueAt } from './source.ts'
import type { Source } from './source.ts'
import { warnOfTimeZone } from './time-zones.ts'

export interface LoadOptions {
  /** The registry: what `target`, `target_config` and `skills` may hold. */
  targets: readonly Target[]
  /** For `${VAR}`. */
  env: NodeJS.ProcessEnv
  /** `schedule`: every enabled experiment must have one, as the daemon needs it. */
  require?: 'schedule'
  /** Is told what `${…}` filled in, which nothing may show. */
  learn?: ((filled: readonly Filled[]) => void) | undefined
}

/** The file with every default filled in. Throws ConfigError with everything that is wrong, in the order of the file. */
export async function loadConfig(file: string, options: LoadOptions): Promise<Config> {
  return parseConfig(file, await readText(file), options)
}

/** The same for a text that is already read; `file` is for messages, and its folder what `${file:…}` is relative to. */
export async function parseConfig(file: string, text: string, options: LoadOptions): Promise<Config> {
  const source = openSource(file, text, { env: options.env, folder: dirname(file) })
  const config = await readFile(source, options)
  if (config === undefined || source.problems.length > 0) throw new ConfigError(inOrder(source))
  return config
}

/** A file that holds nothing but a `target_config`, checked by the target it is for. Throws ConfigError. */
export async function loadTargetConfig(
  file: string,
  target: Target,
  { env, learn }: Pick<LoadOptions, 'env' | 'learn'>,
): Promise<unknown> {
  const source = openSource(file, await readText(file), { env, folder: dirname(file) })
  learn?.(source.filledBelow([]))
  const config = source.value === undefined ? undefined : checkTargetConfig(source, [], target)
  if (config === undefined || source.problems.length > 0) throw new ConfigError(inOrder(source))
  return config
}

async function readFile(source: Source, options: LoadOptions): Promise<Config | undefined> {
  if (source.value === undefined) return undefined
  const wrong = wrongFile(source.value)
  if (wrong !== undefined) {
    source.problems.length = 0 // a variable that is not set does not matter then
    source.problem([], wrong)
    return undefined
  }
  check(source, fileSchema, [], { value: withoutExtensions(source.value), elsewhere: () => homes('file') })
  const given = source.get(['settings'])
  const settings = check(source, settingsSchema, ['settings'], {
    value: given === undefined ? {} : given,
    elsewhere: () => homes('settings'),
  })
  const list = source.get(['experiments'])
  const entries: ScheduledExperiment[] = []
  const context: EntryContext = {
    targets: options.targets,
    settings,
    time: timeContext(Date.now()),
    cron: hasSchedule(list, given) ? await import('node-cron') : undefined,
  }
  if (context.cron) checkSchedule(source, ['settings', 'digest'], context.cron)
  const notify = readNotify(source, ['settings', 'notify'])
  for (const index of Array.isArray(list) ? list.keys() : []) {
    const entry = readEntry(source, ['experiments', index], context)
    if (entry) entries.push(entry)
    if (options.require === 'schedule') checkHasSchedule(source, index)
  }
  for (const path of [['settings'], ...entries.map((_, index) => ['experiments', index])]) {
    warnOfTimeZone(source, [...path, 'timezone'])
    warnOfPeriods(source, path)
  }
  checkNames(source)
  if (options.require === 'schedule' && entries.length > 0 && !entries.some((entry) => entry.enabled)) {
    source.warn(['experiments'], 'every experiment has enabled: false, so nothing will ever run')
  }
  if (settings === undefined) return undefined
  const health = readHealth(source, settings)
  const result: Settings = {
    max_concurrent: settings.max_concurrent,
    timezone: settings.timezone ?? 'UTC',
    stop_deadline_ms: settings.stop_deadline,
    history: settings.history,
    trust: settings.trust,
    ...(health ? { health } : {}),
    ...(notify === undefined ? {} : { notify }),
    ...(settings.digest === undefined ? {} : { digest: sixFields(settings.digest) }),
  }
  const filled = source.filledBelow([])
  options.learn?.(filled)
  return { file: source.file, settings: result, experiments: entries, warnings: source.warnings, filled }
}

/** Top-level `x-…` keys are free: for anchors, and for other programs. */
function withoutExtensions(value: unknown): unknown {
  return Object.fromEntries(Object.entries(value as object).filter(([key]) => !key.startsWith('x-')))
}

/** For a text that is not this kind of file at all, one sentence instead of a complaint about every key. */
function wrongFile(value: unknown): string | undefined {
  if (value === null) return `is empty: write ${SHORTEST}`
  if (Array.isArray(value)) return 'is a list: write "experiments:" above it, and indent it'
  if (typeof value !== 'object') return `is not a configuration: write ${SHORTEST}`
  if ('experiments' in value) return undefined
  if ('llm' in value || 'mcp_servers' in value) {
    return 'is a file for planning with a language model, which is on the roadmap, but not available in this version: this command needs "experiments:"'
  }
  if ('experiment_id' in value || 'faults' in value) {
    return 'is an experiment inside an application: run it with `chaos run --experiment FILE`; this command needs "experiments:"'
  }
  if ('skills' in value || 'target' in value || 'experiment' in value) {
    return 'is an experiment without the list around it: write "experiments:" above it, and "- " before its first key'
  }
  return undefined
}

const SHORTEST = '"experiments:" and below it a list of experiments, each with name, target, target_config and skills'

function hasSchedule(list: unknown, settings: unknown): boolean {
  if (valueAt(settings, ['digest']) !== undefined) return true
  return Array.isArray(list) && list.some((entry) => valueAt(entry, ['schedule']) !== undefined)
}

function timeContext(now: number): TimeContext {
  const zone = zoneCache()
  const known = new Map<string, readonly Change[]>()
  const changes = (name: string): readonly Change[] => {
    const found = known.get(name) ?? clockChanges(zone(name), now)
    known.set(name, found)
    return found
  }
  return { now, zone, changes }
}

function checkHasSchedule(source: Source, index: number): void {
  const path = ['experiments', index]
  if (source.get([...path, 'enabled']) === false || source.get([...path, 'schedule']) !== undefined) return
  const where = bodyPath(source, path) === path ? '' : ' beside "experiment:"'
  source.problem([...path, 'schedule'], `is missing: add schedule: "0 0 2 * * *"${where}, or enabled: false`)
}

/** Reports, `--only` and the history know experiments by name. */
function checkNames(source: Source): void {
  const list = source.get(['experiments'])
  const first = new Map<unknown, number>()
  for (const index of Array.isArray(list) ? list.keys() : []) {
    const path = [...bodyPath(source, ['experiments', index]), 'name']
    const name = source.get(path)
    if (typeof name !== 'string') continue
    if (source.filledBelow(path).length > 0) {
      source.problem(
        path,
        'may hold no secret, because it is shown everywhere: write it out, or fill it from a plain variable',
      )
      continue
    }
    const line = first.get(name)
    if (line === undefined) first.set(name, source.lineOf(path))
    else
      source.problem(
        path,
        `${source.seen(path).text} is the name of the experiment in line ${line} too: give each its own`,
      )
  }
}

function inOrder({ problems }: Source) {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
}
