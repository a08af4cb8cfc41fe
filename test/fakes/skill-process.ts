/** The other end of test/contract/other-process.ts: plans a skill of the registry, applies it when told to, and holds it until it is killed. */
import { messageOf } from '../../src/core/errors.ts'
import { targets } from '../../src/targets/index.ts'
import type { Answer, Job } from '../contract/other-process.ts'
import { openRig } from '../contract/rig.ts'
import type { Rig } from '../contract/rig.ts'

let rig: Rig | undefined

process.on('disconnect', () => process.exit(1))
process.on('message', (message: Job | 'apply') => {
  const answer = message === 'apply' ? apply() : plan(message)
  void answer.catch((error: unknown): Answer => ({ error: messageOf(error) })).then((said) => process.send?.(said))
})

async function plan({ skill: name, params, config, run }: Job): Promise<Answer> {
  const target = targets.find(({ skills }) => skills.some((skill) => skill.name === name))
  const skill = target?.skills.find((s) => s.name === name)
  if (!target || !skill)
    throw new Error(`${name} is in no target's list of skills: add it to src/targets/<target>/index.ts`)
  const connect = (options: Parameters<typeof target.connect>[1]) =>
    target.connect(target.config.parse(config), options)
  rig = await openRig({ skill, params, connect }, run)
  return { planned: JSON.stringify((await rig.plan()).steps, undefined, 1) }
}

async function apply(): Promise<Answer> {
  for (const step of rig?.steps ?? []) await rig?.apply(step)
  return { applied: rig?.steps ?? [] }
}
