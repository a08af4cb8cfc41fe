/** Which experiments of a file a command is about: those that are enabled, or the one that `--only` names. */
import { ConfigError } from '../core/errors.ts'
import type { Config, Experiment } from '../core/experiment.ts'

export function chosen(config: Config, only: string | undefined): Experiment[] {
  if (only === undefined) return config.experiments.filter((e) => e.enabled).map((e) => e.experiment)
  const found = config.experiments.filter((e) => e.experiment.name === only).map((e) => e.experiment)
  if (found.length > 0) return found
  const names = config.experiments.map((e) => e.experiment.name).join(', ')
  throw new ConfigError(
    [
      {
        file: config.file,
        line: 0,
        column: 0,
        path: '--only',
        message: `no experiment ${JSON.stringify(only)}; there is ${names}`,
      },
    ],
    'USAGE',
  )
}
