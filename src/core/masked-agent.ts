/** An agent whose plans and errors do not show what the configuration filled in from variables and files. */
import type { Mask } from './filled.ts'
import { sampleOf } from './sample.ts'
import type { Plan } from './skill.ts'
import type { Agent } from './target.ts'

export function maskedAgent(agent: Agent, mask: Mask): Agent {
  /** Called, not taken apart: an agent may be an object with methods of its own. */
  const said = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw mask.error(error)
    }
  }
  return {
    identity: (signal) => said(() => agent.identity(signal)),
    discover: (signal) => said(() => agent.discover(signal)),
    plan: (skill, params, ctx) => said(async () => maskedPlan(await agent.plan(skill, params, ctx), mask)),
    async claim(keys, signal) {
      const { lost } = await said(() => agent.claim(keys, signal))
      return lost ? { lost: lost.then((why) => mask.problem(why)) } : {}
    },
    quiesce: (run, signal, stranger) => said(() => agent.quiesce(run, signal, stranger)),
    apply: (skill, step, ctx) => said(() => agent.apply(skill, step, ctx)),
    inspect: (skill, step, ctx) => said(() => agent.inspect(skill, step, ctx)),
    observe: (skill, step, ctx) => said(() => agent.observe(skill, step, ctx)),
    revert: (skill, step, ctx) => said(() => agent.revert(skill, step, ctx)),
    ...(agent.sample && { sample: (signal) => said(() => sampleOf(agent, signal)) }),
    sweep: (install, signal) => said(() => agent.sweep(install, signal)),
    close: () => agent.close(),
  }
}

/** The sentences only: what a step is, and what it touches, must stay as it is. */
function maskedPlan(plan: Plan<object>, mask: Mask): Plan<object> {
  return {
    ...plan,
    steps: plan.steps.map((step) => ({ ...step, describe: mask.problem(step.describe) })),
    ...(plan.skipped ? { skipped: plan.skipped.map((one) => ({ ...one, reason: mask.problem(one.reason) })) } : {}),
    ...(plan.notes ? { notes: plan.notes.map((note) => mask.problem(note)) } : {}),
  }
}
