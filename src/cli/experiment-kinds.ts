/** `run` and `report` know two kinds of experiment, on targets and inside applications: which one a command line means. */
import type { Context } from './context.ts'
import type { ExperimentOptions } from './faults/experiment.ts'
import type { ReportOptions } from './report.ts'
import { usageError } from './usage.ts'

export type ReportEitherOptions = ReportOptions & { experimentId?: string; jsonOutput?: boolean }

export async function runEither(
  context: Context,
  file: string | undefined,
  options: ExperimentOptions,
): Promise<number> {
  const { experiment } = options
  if (experiment !== undefined && file !== undefined)
    throw usageError('run', 'got a configuration and --experiment: name only one of them')
  if (experiment !== undefined)
    return (await import('./faults/experiment.ts')).runExperiment(context, experiment, options)
  if (file === undefined) throw usageError('run', 'needs a file: `chaos run CONFIG`, or `chaos run --experiment FILE`')
  if (options.jsonOutput === true) throw usageError('--json-output', 'goes with --experiment: write --json')
  return (await import('./run.ts')).run(context, file, options)
}

export async function reportEither(
  context: Context,
  run: string | undefined,
  options: ReportEitherOptions,
): Promise<number> {
  const { experimentId } = options
  if (experimentId !== undefined && (run !== undefined || options.last === true || options.list === true))
    throw usageError('report', 'got --experiment-id and a run: name only one of them')
  if (experimentId !== undefined)
    return (await import('./faults/experiment.ts')).reportExperiment(context, experimentId, options)
  if (options.jsonOutput === true) throw usageError('--json-output', 'goes with --experiment-id: write --json')
  return (await import('./report.ts')).report(context, run, options)
}
