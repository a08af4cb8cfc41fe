/** Short ways for tests to load a text and to see what is said about it. */
import { ConfigError } from '../../src/core/errors.ts'
import type { ConfigProblem } from '../../src/core/errors.ts'
import type { Config } from '../../src/core/experiment.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { LoadOptions } from '../../src/config/load.ts'
import { fakeCache, fakeDatabase } from '../fakes/config-target.ts'

export function load(text: string, options: Partial<LoadOptions> = {}): Promise<Config> {
  return parseConfig('x.yaml', text, { targets: [fakeDatabase(), fakeCache()], env: {}, ...options })
}

/** The problems of a text that must not load. */
export async function problemsOf(text: string, options: Partial<LoadOptions> = {}): Promise<readonly ConfigProblem[]> {
  try {
    await load(text, options)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  throw new Error('it loads')
}

/** A whole file with one experiment; `more` are further keys of it, `params` those of its one skill. */
export function one({ more = '', params = '{}', url = 'postgres://u@localhost/shop', skill = 'db.insert_load' } = {}) {
  return [
    'experiments:',
    '  - name: load',
    '    target: database',
    `    target_config: {connection_url: "${url}"}`,
    `    skills: [{skill_name: ${skill}, params: ${params}}]`,
    ...more.split('\n').map((line) => `    ${line}`),
    '',
  ].join('\n')
}
