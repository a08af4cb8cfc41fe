/** `chaos schedule CONFIG`: every run of the days to come, what will not run and why. Connects to nothing. */
import { createHash } from 'node:crypto'
import { loadConfig } from '../../config/load.ts'
import { systemClock } from '../../core/clock.ts'
import type { Clock } from '../../core/clock.ts'
import { counted } from '../../core/counted.ts'
import { formatDuration } from '../../core/duration.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Config, Experiment } from '../../core/experiment.ts'
import { visibleData } from '../../core/foreign.ts'
import { forecast } from '../../schedule/forecast.ts'
import type { Coming, Forecast } from '../../schedule/forecast.ts'
import { json, table } from '../context.ts'
import type { Context } from '../context.ts'
import { formatCalendar } from './ics.ts'

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
const MOST_DAYS = 3_660

export interface ScheduleCommandOptions {
  days?: string
  json?: boolean
  ics?: boolean
}

export async function schedule(
  context: Context,
  file: string,
  options: ScheduleCommandOptions,
  clock: Clock = systemClock,
): Promise<number> {
  const days = options.days === undefined ? DEFAULT_DAYS : Number(options.days)
  if (!Number.isFinite(days) || days <= 0 || days > MOST_DAYS) {
    throw usage('--days', `must be a number of days up to ${MOST_DAYS}, got ${JSON.stringify(options.days)}`)
  }
  if (options.json === true && options.ics === true) throw usage('--ics', 'write either --json or --ics')
  const targets = await context.targets()
  const config = await loadConfig(file, { targets, env: context.env, learn: context.learn })
  const from = clock.now()
  const told = forecast(config.experiments, {
    from,
    until: from + days * DAY_MS,
    slots: config.settings.max_concurrent,
  })
  const endpoint = ({ target, target_config }: Experiment): string =>
    targets.find((t) => t.name === target)?.endpoint(target_config).key ?? ''
  if (options.json === true) context.out(json(asJson(config, told, endpoint, from, days)))
  else if (options.ics === true) context.out(formatCalendar(asEvents(told), from))
  else context.out(asText(config, told, days))
  return 0
}

function usage(path: string, message: string): ConfigError {
  return new ConfigError([{ file: 'schedule', line: 0, column: 0, path, message }], 'USAGE')
}

function asText(config: Config, { coming, counts }: Forecast, days: number): string {
  const lines = coming.map((run) => [
    placed(run.local, run.entry.timezone),
    run.entry.experiment.name,
    run.skip
      ? `not run (${run.skip.cause}): ${run.skip.reason}`
      : `soak ${formatDuration(run.entry.experiment.duration_ms)}${remarks(run)}`,
  ])
  const planned = config.experiments.filter(({ experiment }) => counts.has(experiment.name))
  if (planned.length === 0) return 'no experiment of this file has a schedule and is enabled\n'
  const more = planned.flatMap(({ experiment: { name }, timezone }) => {
    const { due, more: left, later } = counts.get(name) ?? { due: 0, more: 0 }
    if (due === 0) {
      const next = later ? `next on ${placed(later.local, timezone)}` : 'and never falls into its windows'
      return [`${name}: not due in the next ${days === 1 ? 'day' : counted(days, 'day')}, ${next}\n`]
    }
    return left > 0 ? [`${name}: ${due} due times, too many to list: above are ${due - left} of them\n`] : []
  })
  const worst = planned.map(({ experiment }) => [`  ${experiment.name}`, radius(experiment).text])
  return [table(visibleData(lines)), ...more, 'at worst, one run touches\n', table(visibleData(worst))].join('')
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** `Sun 2026-03-29 02:30:00 Europe/Berlin`. */
function placed(local: string, timezone: string): string {
  return `${DAYS[new Date(`${local.replace(' ', 'T')}Z`).getUTCDay()] ?? ''} ${local} ${timezone}`
}

function remarks({ entry, windows, overlaps, crowded, slot, until }: Coming): string {
  const jitter = until - slot - entry.experiment.duration_ms
  const names = [...new Set(overlaps)]
  return [
    jitter > 0 ? `, begins up to ${formatDuration(jitter)} later` : '',
    windows.length > 0 ? `, in ${windows.join(' and ')}` : '',
    names.length > 0 ? `, overlaps ${names.join(', ')}` : '',
    crowded ? `, beyond max_concurrent: ${entry.on_busy === 'queue' ? 'it waits' : 'it is skipped'}` : '',
  ].join('')
}

function asJson(
  config: Config,
  { coming, counts }: Forecast,
  endpoint: (experiment: Experiment) => string,
  from: number,
  days: number,
): unknown {
  return {
    file: config.file,
    from: iso(from),
    until: iso(from + days * DAY_MS),
    max_concurrent: config.settings.max_concurrent,
    experiments: config.experiments
      .filter(({ experiment }) => counts.has(experiment.name))
      .map(({ experiment, schedule: expression, timezone }) => {
        const { due = 0, more = 0 } = counts.get(experiment.name) ?? {}
        const { text, ...worst } = radius(experiment)
        return {
          name: experiment.name,
          endpoint: endpoint(experiment),
          schedule: expression,
          timezone,
          due,
          not_listed: more,
          worst_case: { ...worst, text },
        }
      }),
    runs: coming.map(({ entry, slot, local, until, windows, skip, overlaps, crowded }) => ({
      experiment: entry.experiment.name,
      slot: iso(slot),
      local,
      timezone: entry.timezone,
      until: iso(until),
      windows,
      ...(skip ? { skipped: skip } : { overlaps: [...new Set(overlaps)], beyond_max_concurrent: crowded }),
    })),
  }
}

function asEvents({ coming, counts }: Forecast) {
  return coming.map((run) => {
    const { name } = run.entry.experiment
    const hash = createHash('sha256').update(name).digest('hex').slice(0, 16)
    const left = counts.get(name)?.more ?? 0
    const { text } = radius(run.entry.experiment)
    return {
      uid: `${run.slot}-${hash}@chaos-agents`,
      from: run.slot,
      to: run.until,
      summary: run.skip ? `chaos: ${name} (not run: ${run.skip.cause})` : `chaos: ${name}`,
      description: [
        placed(run.local, run.entry.timezone),
        run.skip ? run.skip.reason : `soak ${formatDuration(run.entry.experiment.duration_ms)}${remarks(run)}`,
        text,
        ...(left > 0 ? [`${counted(left, 'further due time')} not in this calendar`] : []),
      ].join('\n'),
      cancelled: run.skip !== undefined,
    }
  })
}

/** What the limits and the file say, without a look at the target: an upper bound, seldom reached. */
function radius({ skills, safety: { limits }, duration_ms: soak }: Experiment) {
  const { rows, resources, percent } = limits
  const names = skills.map(({ skill_name: name, count, params }) => {
    const named = Object.entries(params).flatMap(([key, value]) => {
      const list = Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
      return list.length > 0 ? [`${key} ${list.join(', ')}`] : []
    })
    return `${name}${count > 1 ? ` ×${count}` : ''}${named.length > 0 ? ` (${named.join('; ')})` : ''}`
  })
  const most = `at most ${rows.toLocaleString('en-US')} rows and ${resources} resources, of what it picks by itself ${percent}% of a kind, for ${formatDuration(soak)}`
  return { rows, resources, percent, soak_ms: soak, skills: names, text: `${most}: ${names.join(', ')}` }
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
