/** Deliberate bugs, each put between the engine and what it works with: the model must find every one. */
import type { Agent } from '../../src/core/target.ts'
import type { Runs } from '../../src/journal/runs.ts'
import type { Bug } from './workers.ts'

/** What is read of a journal, changed on the way. */
const reading =
  (change: (read: Awaited<ReturnType<Runs['read']>>) => object): Required<Bug>['state'] =>
  (state) => ({
    ...state,
    runs: {
      ...state.runs,
      async read(run) {
        const read = await state.runs.read(run)
        return { ...read, ...change(read) }
      },
    },
  })

const calling =
  (change: (agent: Agent) => Partial<Agent>, only?: 'recover'): Required<Bug>['agent'] =>
  (agent, { kind }) =>
    only === undefined || kind === only ? { ...agent, ...change(agent) } : agent

export const BUGS: Record<string, Bug> = {
  'undone first in, first out': { state: reading(({ steps }) => ({ steps: [...steps].reverse() })) },
  'a recovery does not read back': {
    agent: calling(() => ({ inspect: () => Promise.resolve({ inEffect: 0, restored: 1, foreign: 0 }) }), 'recover'),
  },
  'a value of a stranger is overwritten': { knows: 'nothing' },
  'a thing with our name is taken for the one we changed': { knows: 'value' },
  'residue is not reported': { report: (report) => ({ ...report, residue: [], exit_code: 0 }) },
  'nothing is quiesced': { agent: calling(() => ({ quiesce: () => Promise.resolve() })) },
  'a failed step is taken for one that changed nothing': {
    state: reading(({ steps }) => ({ steps: steps.filter((step) => step.state !== 'failed') })),
  },
  'claims are not asked for': { claimless: true },
  'the identity of the system is not looked at': {
    agent: calling((agent) => ({
      identity: async (signal) => ({ ...(await agent.identity(signal)), parts: { id: 'any' } }),
    })),
  },
  'the stored configuration is lost': {
    state: (state) => ({
      ...state,
      secrets: { ...state.secrets, keep: () => Promise.resolve() },
    }),
  },
  'a sync does nothing': { lazy: 'bytes' },
}
