/** An experiment inside an application: which faults, on which components, for how long; and what came of it. */
import { FaultConfigError, readFault, readNames } from './fault.ts'
import type { Fault } from './fault.ts'
import type { FaultConfig } from './fault-type.ts'
import type { Observation } from './observer.ts'
import type { SavedSequence } from './sequence.ts'

export interface ChaosExperiment {
  /** Unique in its scheduler; assigned when there is none. */
  experiment_id?: string
  name: string
  description?: string
  faults?: readonly FaultConfig[]
  /** Whole seconds, at least 1; default 60. */
  duration_seconds?: number
  /** For faults without affected_components. Empty means every component. */
  target_components?: readonly string[]
  /** The same seed gives the same sequence. */
  seed?: string | number
}

/** With its defaults, as results carry it. */
export type CompleteExperiment = Required<Omit<ChaosExperiment, 'seed'>> & Pick<ChaosExperiment, 'seed'>

export type ExperimentStatus = 'pending' | 'running' | 'completed' | 'aborted'

export interface ExperimentSummary {
  /** Faults that really took effect, those that raise included. */
  total_faults_fired: number
  faults_by_type: Record<string, number>
  faults_by_component: Record<string, number>
  /** By class of the error that was raised. */
  errors_by_type: Record<string, number>
  /** Of these, how many the tick loop injected; the others were injected into calls of the application. */
  fired_by_ticks: number
  duration_seconds: number
  /** Observations beyond what is kept. */
  observations_dropped: number
}

/** Plain data. */
export interface ExperimentResult {
  experiment: CompleteExperiment
  status: ExperimentStatus
  /** ISO 8601; null before it began, or where it never did. */
  start_time: string | null
  end_time: string | null
  observations: Observation[]
  summary: ExperimentSummary
  /** Which calls fired, to be replayed. */
  sequence: SavedSequence
}

/** Throws FaultConfigError. */
export function readExperiment(
  given: ChaosExperiment,
  newId: () => string,
): { experiment: CompleteExperiment; faults: readonly Fault[] } {
  const { name, duration_seconds: seconds = 60 } = given
  if (typeof name !== 'string' || name === '') throw new FaultConfigError('experiment: name must be a text, not empty')
  const where = `experiment ${name}`
  if (!Number.isSafeInteger(seconds) || seconds < 1 || seconds > LONGEST_SECONDS)
    throw new FaultConfigError(
      `${where}: duration_seconds must be a whole number from 1 to ${LONGEST_SECONDS}, got ${seconds}`,
    )
  const faults = (given.faults ?? []).map((fault, i) => readFault(fault, `${where}: faults[${i}]`))
  const experiment: CompleteExperiment = {
    experiment_id: given.experiment_id === undefined || given.experiment_id === '' ? newId() : given.experiment_id,
    name,
    description: given.description ?? '',
    faults: (given.faults ?? []).map((config, i) => ({
      ...config,
      probability: faults[i]?.probability ?? 1,
      affected_components: faults[i]?.affected_components ?? [],
    })),
    duration_seconds: seconds,
    target_components: readNames(given.target_components, where, 'target_components'),
    ...(given.seed === undefined ? {} : { seed: given.seed }),
  }
  return { experiment, faults }
}

/** What one timer of Node can wait for. */
const LONGEST_SECONDS = 2_000_000
