/** `chaos run --experiment FILE`: an experiment inside an application, run by itself; its result is kept for `report --experiment-id`. */
import { loadChaosExperiment } from '../../config/chaos-experiment.ts'
import type { ChaosExperimentFile } from '../../config/chaos-experiment.ts'
import { visibleData } from '../../core/foreign.ts'
import { Chaos, ExperimentScheduler } from '../../faults/index.ts'
import type { ChaosExperiment, ExperimentResult } from '../../faults/index.ts'
import { uselessFields } from '../../faults/fields.ts'
import { experimentStore } from '../../journal/experiments.ts'
import { refuseForeign } from '../../journal/exposed.ts'
import { json, stateDirOf, table } from '../context.ts'
import type { Context } from '../context.ts'
import { onStopSignals } from '../signals.ts'
import { usageError } from '../usage.ts'

/** The library's own, for what is said before it runs. */
const DEFAULT_SECONDS = 60

export interface ExperimentOptions {
  experiment?: string
  jsonOutput?: boolean
  json?: boolean
  stateDir?: string
  seed?: string
  dryRun?: boolean
  only?: string
}

export async function runExperiment(context: Context, file: string, options: ExperimentOptions): Promise<number> {
  for (const [option, given] of [
    ['--dry-run', options.dryRun],
    ['--only', options.only],
  ] as const)
    if (given !== undefined)
      throw usageError(option, 'is for configurations of targets: leave it out with --experiment')
  const read = await loadChaosExperiment(file, context.env, uselessFields)
  const stateDir = stateDirOf(options.stateDir, context.env)
  refuseForeign(stateDir)
  const store = experimentStore(stateDir)
  await store.open()
  // The command itself is the consent: nothing but this experiment is on this switch.
  const scheduler = new ExperimentScheduler({ chaos: new Chaos({ enabled: true }) })
  const id = scheduler.schedule({
    ...withoutUndefined(read),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
  })
  const signals = onStopSignals((text) => context.err(text))
  signals.signal.addEventListener('abort', () => scheduler.abort(id), { once: true })
  const asJson = options.jsonOutput === true || options.json === true
  try {
    if (!asJson)
      context.out(`Running experiment '${id}' (${read.name}) for ${read.duration_seconds ?? DEFAULT_SECONDS}s...\n`)
    const result = await scheduler.run(id)
    await store.write(id, result)
    context.out(asJson ? json(result) : resultText(result))
    return result.status === 'completed' ? 0 : signals.exitCode
  } finally {
    signals.dispose()
  }
}

/** `chaos report --experiment-id ID`. */
export async function reportExperiment(
  context: Context,
  id: string,
  options: { stateDir?: string; json?: boolean; jsonOutput?: boolean },
): Promise<number> {
  const store = experimentStore(stateDirOf(options.stateDir, context.env))
  const result = await store.read(id)
  if (result === undefined) {
    const known = await store.ids()
    const hint = known.length > 0 ? `there is ${known.join(', ')}` : 'none was run with this state folder yet'
    throw usageError('report', `no result of experiment ${JSON.stringify(id)}; ${hint}`)
  }
  // Written by ourselves, from exactly this type.
  const asJson = options.jsonOutput === true || options.json === true
  context.out(asJson ? json(result) : resultText(result as ExperimentResult))
  return 0
}

function resultText({
  experiment,
  status,
  start_time,
  end_time,
  observations,
  summary,
  sequence,
}: ExperimentResult): string {
  const counts = (by: Record<string, number>) =>
    Object.entries(by)
      .map(([name, n]) => `${name} ${n}`)
      .join(', ') || 'none'
  const rows = [
    ['experiment', `${experiment.experiment_id} (${experiment.name})`],
    ...(experiment.description === '' ? [] : [['description', experiment.description]]),
    ['status', status],
    ['started', start_time ?? 'never'],
    ['ended', end_time ?? 'never'],
    ['duration', `${summary.duration_seconds}s`],
    ['faults fired', String(summary.total_faults_fired)],
    ['by type', counts(summary.faults_by_type)],
    ['by component', counts(summary.faults_by_component)],
    ['errors raised', counts(summary.errors_by_type)],
    ['observations', String(observations.length + summary.observations_dropped)],
    ['seed', String(sequence.seed)],
  ]
  return table(visibleData(rows))
}

/** The schema leaves a field that is not there undefined; the library wants it absent. */
function withoutUndefined(read: ChaosExperimentFile): ChaosExperiment {
  return JSON.parse(JSON.stringify(read)) as ChaosExperiment
}
