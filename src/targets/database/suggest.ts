/** A first configuration for a database: modest, one kind of fault each, on tables that can take it. */
import type { Suggestion, SkillSurvey, Survey } from '../../core/survey.ts'
import type { Examples } from './dialect.ts'

const INSERTED_ROWS = 200
const UPDATED_ROWS = 20
/** Of each kind; the caller tries one after the other. */
const CANDIDATES = 6

/** With nothing looked at, tables are left to the skills, or to be named by hand. */
export function suggest(examples: Examples, survey?: Survey): Suggestion[] {
  return [inserts(survey), updates(survey), settings(examples, survey), locks(examples, survey)]
}

function inserts(survey: Survey | undefined): Suggestion {
  const found = look(survey, 'db.insert_load')
  const tables = found?.tables ?? []
  // Two at a time; if no two neighbours go together, one will do.
  const pairs = tables.slice(1).map((table, i) => [tables[i] ?? table, table])
  const sets = [...pairs.slice(0, CANDIDATES), ...tables.slice(0, CANDIDATES).map((table) => [table])]
  return {
    name: 'more-rows',
    comment: 'Rows that nobody asked for. Undone: exactly those rows are deleted.',
    skill: 'db.insert_load',
    params: found
      ? sets.map((tables) => ({ tables, rows_per_table: INSERTED_ROWS }))
      : [{ rows_per_table: INSERTED_ROWS }],
    duration: '5m',
    enabled: true,
    ...otherwise(found),
  }
}

function updates(survey: Survey | undefined): Suggestion {
  const found = look(survey, 'db.update_load')
  return {
    name: 'changed-rows',
    comment: 'Values of a few rows are overwritten. Undone: each old value comes back, where ours is still there.',
    skill: 'db.update_load',
    params: found
      ? found.tables.slice(0, CANDIDATES).map((table) => ({ tables: [table], rows: UPDATED_ROWS }))
      : [{ rows: UPDATED_ROWS }],
    duration: '5m',
    enabled: true,
    ...otherwise(found),
  }
}

function settings({ setting, settingComment }: Examples, survey: Survey | undefined): Suggestion {
  const found = look(survey, 'db.config_change')
  return {
    name: 'less-memory',
    comment: settingComment,
    skill: 'db.config_change',
    params: found ? found.params : [{ changes: [{ param: setting.param, value: setting.values[0] }] }],
    duration: '10m',
    // Whether our role may do that is not known before somebody has looked.
    enabled: found !== undefined,
    ...otherwise(found),
  }
}

function locks(examples: Examples, survey: Survey | undefined): Suggestion {
  const found = look(survey, 'db.table_lock')
  const lock = (table: string): Record<string, unknown> => ({ tables: [table], lock_mode: examples.lock, wait: '2s' })
  return {
    name: 'read-only-table',
    comment: [
      'Nobody can write to this table; reading goes on. Undone: the session that holds the lock is ended.',
      `Writers wait for the whole duration: ${found ? '' : 'name a table of yours, and '}set enabled to true when they may.`,
    ].join('\n'),
    skill: 'db.table_lock',
    params: found ? found.tables.slice(0, CANDIDATES).map(lock) : [lock(examples.table)],
    duration: '30s',
    enabled: false,
    ...otherwise(found),
  }
}

interface Found {
  tables: string[]
  params: Record<string, unknown>[]
  skipped: SkillSurvey['skipped']
}

function look(survey: Survey | undefined, skill: string): Found | undefined {
  if (!survey) return undefined
  const { served = [], skipped = [] } = survey.skills.find((s) => s.skill === skill) ?? {}
  // Rows that really change are worth more than rows written with the values they have.
  const real = served.filter((s) => !s.describe.startsWith('rewrite '))
  const ordered = [...real, ...served.filter((s) => !real.includes(s))]
  return { tables: ordered.map((s) => s.resource), params: served.map((s) => s.params), skipped }
}

/** Reasons worth repeating: those that somebody can lift come first. */
function otherwise(found: Found | undefined): { otherwise?: string } {
  if (!found || found.tables.length > 0) return {}
  const reasons = [...found.skipped].sort((a, b) => Number(b.fix !== undefined) - Number(a.fix !== undefined))
  const lines = reasons.slice(0, 3).map(({ resource, reason, fix }) => {
    return [`${resource}: ${reason}`, ...(fix === undefined ? [] : [fix])].join('\n')
  })
  return { otherwise: lines.length > 0 ? lines.join('\n') : 'there is no table' }
}
