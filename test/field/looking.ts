/** What `run --dry-run` and `discover` would say of a real database, without a process of their own. */
import type { Experiment, Limits } from '../../src/core/experiment.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { Survey } from '../../src/core/survey.ts'
import type { Agent } from '../../src/core/target.ts'
import { Fleet } from '../../src/engine/fleet.ts'
import { planRun } from '../../src/engine/plan.ts'
import type { RunPlan } from '../../src/engine/plan.ts'
import { surveyTarget } from '../../src/engine/survey.ts'
import { database } from '../../src/targets/database/index.ts'

const LIMITS: Limits = { rows: 10_000_000, resources: 1_000, percent: 100, duration_ms: 3_600_000 }

export interface Entry {
  skill: string
  params?: Record<string, unknown>
  count?: number
}

/** The plan of a run with these skills. Throws as the run would. */
export async function planOf(url: string, ...entries: Entry[]): Promise<RunPlan> {
  const config = { connection_url: url, db_type: 'postgres' as const, schemas: [] }
  const experiment: Experiment = {
    name: 'looking',
    target: 'database',
    target_config: config,
    skills: entries.map(({ skill, params = {}, count = 1 }) => ({ skill_name: skill, params, count, spread: false })),
    duration_ms: 1_000,
    parallel: false,
    resource_filters: [],
    safety: { limits: LIMITS, allow: [], protected: [], failsafe: 'warn' },
  }
  return looking(url, async (agent, signal) =>
    planRun({
      ...{ experiment, signal, run: 'r1', install: 'looking', seed: 's', skills: database.skills },
      fleet: new Fleet([{ place: '', endpoint: url, agent, identity: await agent.identity(signal) }]),
      endpoint: database.endpoint(config),
      onPhase: () => undefined,
    }),
  )
}

export async function surveyOf(url: string): Promise<Survey> {
  return looking(url, async (agent, signal) =>
    surveyTarget({
      ...{ agent, signal, target: database, onPhase: () => undefined },
      identity: await agent.identity(signal),
    }),
  )
}

async function looking<T>(url: string, look: (agent: Agent, signal: AbortSignal) => Promise<T>): Promise<T> {
  const { signal } = new AbortController()
  const config = { connection_url: url, db_type: 'postgres', schemas: [] }
  const agent = await database.connect(config, { install: 'looking', run: 'r1', clock: systemClock, signal })
  try {
    return await look(agent, signal)
  } finally {
    await agent.close()
  }
}
