/** What `chaos init` says at its end: what it wrote, and what to type next. */
import type { FromUrl } from '../../core/survey.ts'
import type { Target } from '../../core/target.ts'
import type { Entry } from './first-config.ts'

/** A configuration before it is text. */
export interface Draft {
  target: Target
  from: FromUrl
  entries: Entry[]
  /** Suggestions that do not fit, and why. */
  leftOut: string[]
  /** One line about the target; undefined where nobody has looked. */
  summary?: string
}

export function written(path: string, { entries, leftOut, summary }: Draft): string {
  const count = `${entries.length} ${entries.length === 1 ? 'experiment' : 'experiments'}`
  return [
    ...(summary === undefined ? [] : [summary]),
    `wrote ${path}: ${count}`,
    ...entries.map(({ suggestion, params }) => {
      const off = suggestion.enabled ? '' : '  (enabled: false)'
      return `  ${suggestion.name}: ${suggestion.skill} ${JSON.stringify(params)}${off}`
    }),
    ...leftOut,
    '',
  ].join('\n')
}

export function nextSteps(path: string, { from, entries, summary }: Draft, env: NodeJS.ProcessEnv): string {
  const file = shellWord(path)
  const [first] = entries.filter(({ suggestion }) => suggestion.enabled)
  return [
    'next:',
    ...Object.entries(from.env)
      .filter(([name, value]) => (summary === undefined ? env[name] === undefined : env[name] !== value))
      .map(([name]) => `  export ${name}=${shellWord(from.shown[name] ?? '')}`),
    `  chaos validate ${file}`,
    `  chaos run ${file} --dry-run`,
    ...(first ? [`  chaos run ${file} --only ${shellWord(first.suggestion.name)}`] : []),
    `  chaos daemon ${file}`,
    '',
  ].join('\n')
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
