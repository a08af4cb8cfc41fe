/** `chaos list-skills`: what this version can break, as a table or as JSON with the schema of every parameter. */
import { z } from 'zod'
import { laterTarget } from '../config/later.ts'
import { ConfigError } from '../core/errors.ts'
import { json } from './context.ts'
import type { Context } from './context.ts'

export async function listSkills(context: Context, options: { target?: string; json?: boolean }): Promise<number> {
  const targets = await context.targets()
  if (options.target !== undefined && !targets.some((t) => t.name === options.target)) {
    const names = targets.map((t) => t.name)
    const later = laterTarget(options.target, names)
    const message =
      later !== undefined
        ? `${JSON.stringify(options.target)} ${later}`
        : `no target ${JSON.stringify(options.target)}; there is ${names.join(', ')}`
    throw new ConfigError([{ file: 'list-skills', line: 0, column: 0, path: '--target', message }], 'USAGE')
  }
  const skills = targets
    .filter((t) => options.target === undefined || t.name === options.target)
    .flatMap((t) => t.skills.map((skill) => ({ skill, target: t.name })))
  if (options.json === true) {
    context.out(
      json(
        skills.map(({ skill: { name, summary, scope, phase, failsafe, params }, target }) => ({
          name,
          target,
          description: summary,
          scope,
          phase,
          failsafe,
          params: z.toJSONSchema(params, { io: 'input' }),
        })),
      ),
    )
    return 0
  }
  context.out(`${'SKILL'.padEnd(26)}${'TARGET'.padEnd(13)}DESCRIPTION\n${'-'.repeat(70)}\n`)
  for (const { skill, target } of skills) context.out(`${skill.name.padEnd(26)}${target.padEnd(13)}${skill.summary}\n`)
  return 0
}
