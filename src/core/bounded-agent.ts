/** An agent that a hostile or frozen target cannot hold: each phase before the first fault has an end, and each text a bound. */
import { ConfigError, setMessage, TargetError } from './errors.ts'
import { formatDuration } from './duration.ts'
import { bounded } from './foreign.ts'
import { sampleOf } from './sample.ts'
import type { Plan } from './skill.ts'
import type { Agent, ConnectOptions, Discovery, Places, Target } from './target.ts'
import { atMost } from './within.ts'

/** Milliseconds. All plans between two discoveries have theirs together. */
const LONGEST = {
  connecting: 60_000,
  'asking who it is': 60_000,
  discovering: 180_000,
  planning: 600_000,
  claiming: 60_000,
  sampling: 10_000,
}
type Phase = keyof typeof LONGEST

/** Characters of a name; what is longer than that cannot be named in a configuration either. */
const LONGEST_NAME = 2_000
/** Problems of one error. */
const MOST_PROBLEMS = 100

/** Connects, within a deadline, to an agent that keeps them. Throws TargetError where the target takes too long. */
export async function connectBounded(
  target: Pick<Target, 'connect'>,
  config: unknown,
  options: ConnectOptions,
): Promise<Agent> {
  const connect = (signal: AbortSignal): Promise<Agent> => target.connect(config, { ...options, signal })
  return boundedAgent(await inPhase('connecting', LONGEST.connecting, connect, options.signal))
}

/** Ids of the places that are there now, within the deadline for connecting. */
export async function listBounded(places: Places, config: unknown, signal: AbortSignal): Promise<string[]> {
  const ids = await inPhase('connecting', LONGEST.connecting, (s) => places.list(config, s), signal)
  const long = ids.find((id) => id.length > LONGEST_NAME)
  if (long !== undefined) throw new TargetError('TARGET_FAILED', `a place has a name of ${long.length} characters`)
  return ids
}

function boundedAgent(agent: Agent): Agent {
  let planning = LONGEST.planning
  return {
    identity: (signal) => inPhase('asking who it is', LONGEST['asking who it is'], (s) => agent.identity(s), signal),
    async discover(signal) {
      planning = LONGEST.planning
      return boundedDiscovery(await inPhase('discovering', LONGEST.discovering, (s) => agent.discover(s), signal))
    },
    async plan(skill, params, ctx) {
      const begun = performance.now()
      const plan = (signal: AbortSignal): Promise<Plan<object>> => agent.plan(skill, params, { ...ctx, signal })
      try {
        return boundedPlan(await inPhase('planning', Math.max(1, planning), plan, ctx.signal))
      } finally {
        planning -= performance.now() - begun
      }
    },
    async claim(keys, signal) {
      const { lost } = await inPhase('claiming', LONGEST.claiming, (s) => agent.claim(keys, s), signal)
      return lost ? { lost: lost.then(bounded) } : {}
    },
    quiesce: (run, signal, stranger) => cut(() => agent.quiesce(run, signal, stranger)),
    apply: (skill, step, ctx) => cut(() => agent.apply(skill, step, ctx)),
    inspect: (skill, step, ctx) => cut(() => agent.inspect(skill, step, ctx)),
    observe: (skill, step, ctx) => cut(() => agent.observe(skill, step, ctx)),
    revert: (skill, step, ctx) => cut(() => agent.revert(skill, step, ctx)),
    ...(agent.sample && {
      sample: (signal) => inPhase('sampling', LONGEST.sampling, (s) => sampleOf(agent, s), signal),
    }),
    sweep: (install, signal) => cut(() => agent.sweep(install, signal)),
    close: () => agent.close(),
  }
}

/** At its limit it ends even where the work does not heed its signal; an abort from outside waits for the work. */
async function inPhase<T>(
  phase: Phase,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  outer: AbortSignal,
): Promise<T> {
  const tooSlow = (): never => {
    const after = formatDuration(LONGEST[phase])
    throw new TargetError('TARGET_UNREACHABLE', `${phase} did not end within ${after}: the target answers too slowly`)
  }
  const limited = (over: AbortSignal): Promise<T> => cut(() => work(AbortSignal.any([over, outer])))
  return atMost({ ms, alone: false }, limited, tooSlow)
}

async function cut<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw cutError(error)
  }
}

/** In place: its class and code say what is to be done. */
function cutError(error: unknown, depth = 0): unknown {
  if (typeof error === 'string') return bounded(error)
  if (!(error instanceof Error) || depth > 10) return error
  const own = error as { problems?: readonly unknown[] }
  if (error instanceof ConfigError) {
    const some = error.problems.slice(0, MOST_PROBLEMS)
    own.problems = some.map((problem) => ({ ...problem, message: bounded(problem.message) }))
  }
  setMessage(error, bounded(error.message))
  if (error.cause !== undefined) error.cause = cutError(error.cause, depth + 1)
  return error
}

function boundedDiscovery({ summary, resources }: Discovery): Discovery {
  return {
    summary: bounded(summary),
    resources: resources.map((one) => {
      if (one.id.length > LONGEST_NAME)
        throw new TargetError('TARGET_FAILED', `the target has a name of ${one.id.length} characters`)
      return one.detail === undefined ? one : { ...one, detail: bounded(one.detail) }
    }),
  }
}

/** The sentences only: what a step is must stay as it is. */
function boundedPlan(plan: Plan<object>): Plan<object> {
  return {
    ...plan,
    steps: plan.steps.map((step) => ({ ...step, describe: bounded(step.describe) })),
    ...(plan.skipped ? { skipped: plan.skipped.map((one) => ({ ...one, reason: bounded(one.reason) })) } : {}),
    ...(plan.notes ? { notes: plan.notes.map(bounded) } : {}),
  }
}
