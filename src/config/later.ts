/** What the roadmap promises and this version does not have: not wrong, only not here. */

/** Targets, by the prefix of their skills. */
const TARGETS: Record<string, string> = { kubernetes: 'k8s', server: 'server', application: 'app' }

const DATABASE_SKILLS = ['select_load', 'row_lock', 'connection_flood', 'deadlock', 'long_transaction', 'kill_sessions']

/** Keys of a file for planning with a language model. */
const PLANNING = ['llm', 'mcp_servers', 'max_turns']

export const NOT_HERE = 'is on the roadmap, but not available in this version'

/** Why a target is not there; undefined for a name that nobody has promised. */
export function laterTarget(name: string, known: readonly string[]): string | undefined {
  if (/^(?:mysql|mariadb)$/i.test(name))
    return `is no target but a db_type of target: database; it ${NOT_HERE}, which has: ${known.join(', ')}`
  return Object.hasOwn(TARGETS, name) ? `${NOT_HERE}, which has: ${known.join(', ')}` : undefined
}

/** The target that a skill of the roadmap is for. */
export function laterSkill(name: string): string | undefined {
  const [prefix = '', skill = ''] = name.split('.', 2)
  if (prefix === 'db') return DATABASE_SKILLS.includes(skill) ? 'database' : undefined
  return Object.entries(TARGETS).find(([, ofTarget]) => ofTarget === prefix)?.[0]
}

export function laterKey(key: string): string | undefined {
  return PLANNING.includes(key)
    ? `"${key}" is for planning with a language model, which ${NOT_HERE}: leave it out until then`
    : undefined
}
