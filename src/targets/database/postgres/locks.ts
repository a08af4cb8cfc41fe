/** Table locks of PostgreSQL: their modes, who may take them, what they reach, and the session that holds them. */
import type { DbReader, Queries } from '../client.ts'
import type { Locks } from '../dialect.ts'
import type { TableRef } from '../rows/table-ref.ts'
import { OF_STEP, stepValues } from './held-session.ts'
import { grantLine, quoteIdent, quoteTable } from './sql.ts'

/** From the weakest to the strongest. */
const LOCK_MODES = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const

type LockMode = (typeof LOCK_MODES)[number]

/** Modes of two sessions that the server gives one table at once only after each other. */
const CONFLICTS: Record<LockMode, readonly LockMode[]> = {
  'ACCESS SHARE': LOCK_MODES.slice(7),
  'ROW SHARE': LOCK_MODES.slice(6),
  'ROW EXCLUSIVE': LOCK_MODES.slice(4),
  'SHARE UPDATE EXCLUSIVE': LOCK_MODES.slice(3),
  SHARE: LOCK_MODES.slice(2).filter((mode) => mode !== 'SHARE'),
  'SHARE ROW EXCLUSIVE': LOCK_MODES.slice(2),
  EXCLUSIVE: LOCK_MODES.slice(1),
  'ACCESS EXCLUSIVE': LOCK_MODES,
}

export const locks: Locks = {
  modes: LOCK_MODES,
  conflicts: CONFLICTS,
  onReplicas: ['ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE'],
  ownSchemas: ['pg_catalog', 'information_schema', 'pg_toast'],
  missingGrants,
  below,
  async take(on, tables, mode) {
    await on.query('BEGIN')
    await on.query(`LOCK TABLE ${tables.map(quoteTable).join(', ')} IN ${mode} MODE`)
  },
  async held(on, session, tables) {
    const rows = await on.query<{ id: string }>(
      `select distinct t.id from unnest($4::text[], $5::text[]) t(id, name)
         join pg_locks l on l.locktype = 'relation' and l.relation = to_regclass(t.name)
          and l.database = (select oid from pg_database where datname = current_database())
         join pg_stat_activity a on a.pid = l.pid
        where ${OF_STEP} order by 1`,
      [...stepValues(session), tables.map(({ id }) => id), tables.map(quoteTable)],
    )
    return rows.map(({ id }) => id)
  },
}

async function missingGrants(target: DbReader, tables: readonly TableRef[], mode: string): Promise<string[]> {
  const { any, best } = privilegesFor(mode, target.serverVersion)
  const rows = await target.query<{ schema: string; table: string; usage: string; lock: string }>(
    `select t.schema, t.name as table, has_schema_privilege(n.oid, 'USAGE')::text as usage,
            has_table_privilege(c.oid, $3)::text as lock
       from unnest($1::text[], $2::text[]) with ordinality t(schema, name, i)
       join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name
      order by t.i`,
    [tables.map((t) => t.schema), tables.map((t) => t.table), any],
  )
  const schemas = new Set(rows.filter((row) => row.usage !== 'true').map((row) => row.schema))
  return [
    ...[...schemas].map((schema) => grantLine('USAGE', `SCHEMA ${quoteIdent(schema)}`, target.role)),
    ...rows.filter((row) => row.lock !== 'true').map((row) => grantLine(best, quoteTable(row), target.role)),
  ]
}

/** Any one of these lets a role lock in this mode; the best to grant is the one that allows the least else. */
function privilegesFor(mode: string, version: number): { any: string; best: string } {
  const strong = version >= 170_000 ? 'MAINTAIN, UPDATE, DELETE, TRUNCATE' : 'UPDATE, DELETE, TRUNCATE'
  const best = version >= 170_000 ? 'MAINTAIN' : 'UPDATE'
  // Before 16 each privilege stood for exactly its own modes.
  if (mode === 'ACCESS SHARE')
    return { any: version >= 160_000 ? `SELECT, INSERT, ${strong}` : 'SELECT', best: 'SELECT' }
  if (mode === 'ROW EXCLUSIVE' || (mode === 'ROW SHARE' && version >= 160_000)) {
    return { any: `INSERT, ${strong}`, best: 'INSERT' }
  }
  return { any: strong, best }
}

/** LOCK TABLE goes down to partitions and to tables that inherit. */
async function below(target: Queries, ids: readonly string[]): Promise<string[]> {
  const rows = await target.query<{ id: string }>(
    `with recursive below(oid) as (
       select i.inhrelid from pg_inherits i where i.inhparent = any(select to_regclass(t)::oid from unnest($1::text[]) t)
       union select i.inhrelid from pg_inherits i join below b on i.inhparent = b.oid)
     select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id
       from below join pg_class c using (oid) join pg_namespace n on n.oid = c.relnamespace order by 1`,
    [ids],
  )
  return rows.map(({ id }) => id).filter((id) => !ids.includes(id))
}
