/** `chaos validate CONFIG`: everything that can be said without opening a connection. */
import { loadConfig } from '../config/load.ts'
import { counted } from '../core/counted.ts'
import { formatDuration } from '../core/duration.ts'
import { ConfigError } from '../core/errors.ts'
import { visibleData } from '../core/foreign.ts'
import { json, table } from './context.ts'
import type { Context } from './context.ts'

export async function validate(context: Context, file: string, options: { json?: boolean }): Promise<number> {
  try {
    const targets = await context.targets()
    const config = await loadConfig(file, { targets, env: context.env, learn: context.learn })
    const experiments = config.experiments.map(({ experiment: e, schedule, enabled, timezone }) => ({
      name: e.name,
      target: e.target,
      endpoint: targets.find((t) => t.name === e.target)?.endpoint(e.target_config).key ?? '',
      skills: e.skills.map((s) => s.skill_name),
      duration: formatDuration(e.duration_ms),
      ...(schedule === undefined ? {} : { schedule, timezone }),
      enabled,
    }))
    if (options.json === true) {
      context.out(json({ valid: true, file, experiments, warnings: config.warnings, problems: [] }))
      return 0
    }
    context.out(`${file} is valid: ${counted(experiments.length, 'experiment')}\n`)
    context.out(
      table(
        visibleData(experiments).map((e) => [
          `  ${e.name}`,
          e.endpoint,
          e.skills.join(', '),
          `soak ${e.duration}`,
          [
            ...(e.schedule === undefined ? [] : [`${e.schedule} ${e.timezone ?? ''}`]),
            ...(e.enabled ? [] : ['enabled: false, never runs by itself']),
          ].join('  '),
        ]),
      ),
    )
    for (const warning of config.warnings) context.out(`warning: ${warning}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError) || options.json !== true) throw error
    context.out(json({ valid: false, file, experiments: [], warnings: [], problems: error.problems }))
    return error.exitCode
  }
}
