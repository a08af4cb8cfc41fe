/** `resource_filters`: regular expressions over the whole id or the whole bare name of a resource. */
import { runInNewContext } from 'node:vm'
import { ConfigError } from '../core/errors.ts'
import type { Resource } from '../core/skill.ts'

/** For all names together. A repeat within a repeat takes longer than anybody lives, and nothing else would end it. */
const LONGEST_MS = 2_000

/** Throws CONFIG_NOT_ON_TARGET for an expression that does not come to an end on these names. */
export function matching(filter: string, resources: readonly Resource[]): Resource[] {
  const anchored = new RegExp(`^(?:${filter})$`)
  const match = (): Resource[] => resources.filter((r) => anchored.test(r.id) || anchored.test(r.name))
  try {
    // Only here can a regular expression that has begun be ended.
    return runInNewContext('match()', { match }, { timeout: LONGEST_MS }) as Resource[]
  } catch (error) {
    // It is an error of the context that was ended, and no instance of our Error.
    if ((Object(error) as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    const message = `${JSON.stringify(filter)} does not come to an end on the names of the target: write it without a repeat inside a repeat such as (a+)+`
    throw new ConfigError(
      [{ file: 'configuration', line: 0, column: 0, path: 'resource_filters', message }],
      'CONFIG_NOT_ON_TARGET',
    )
  }
}
