/** Table locks of PostgreSQL: their modes, who may take them, what they reach, and who stands in the way. */
import type { Clock } from '../../../core/clock.ts'
import { messageOf, RefusedError, StepError, TargetError } from '../../../core/errors.ts'
import type { DbReader } from '../dialect.ts'
import { grantLine, quoteIdent, quoteTable, sqlState } from './sql.ts'
import { splitName } from '../rows/names.ts'
import type { TableRef } from '../rows/names.ts'

/** From the weakest to the strongest. */
export const LOCK_MODES = [
  'ACCESS SHARE',
  'ROW SHARE',
  'ROW EXCLUSIVE',
  'SHARE UPDATE EXCLUSIVE',
  'SHARE',
  'SHARE ROW EXCLUSIVE',
  'EXCLUSIVE',
  'ACCESS EXCLUSIVE',
] as const

/** A server in recovery gives no others. */
export const ON_REPLICAS: readonly string[] = ['ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE']

export type LockMode = (typeof LOCK_MODES)[number]

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

/** What a step that locks a table takes from the later entries of its run, which would wait behind it. */
export function takenBy(mode: LockMode, id: string): string {
  return `${mode} on ${id}`
}

/** The mode in which an earlier entry of the run locks the table, where a lock of ours would wait behind it. */
export function waitsBehind(mode: LockMode, id: string, taken: ReadonlySet<string>): LockMode | undefined {
  return CONFLICTS[mode].find((other) => taken.has(takenBy(other, id)))
}

/** Throws REFUSED_UNSUITABLE for tables of the server's own schemas. */
export function refuseCatalogs(names: readonly string[]): void {
  for (const name of names) {
    const parts = splitName(name) ?? []
    if (parts.length === 2 && ['pg_catalog', 'information_schema', 'pg_toast'].includes(parts[0] ?? '')) {
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `${name} belongs to the server itself: it would stop everybody, us too`,
      )
    }
  }
}

/** Throws TARGET_PRIVILEGE with the GRANT lines for a lock of this mode. */
export async function requireLockPrivileges(
  target: DbReader,
  tables: readonly TableRef[],
  mode: LockMode,
): Promise<void> {
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
  const grants = [
    ...[...schemas].map((schema) => grantLine('USAGE', `SCHEMA ${quoteIdent(schema)}`, target.role)),
    ...rows.filter((row) => row.lock !== 'true').map((row) => grantLine(best, quoteTable(row), target.role)),
  ]
  if (grants.length > 0) {
    const fix = grants.join('\n')
    throw new TargetError('TARGET_PRIVILEGE', `${target.role} may not lock in ${mode} mode:\n${fix}`, { fix })
  }
}

/** Any one of these lets a role lock in this mode; the best to grant is the one that allows the least else. */
function privilegesFor(mode: LockMode, version: number): { any: string; best: string } {
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

/** Ids of partitions and of tables that inherit: LOCK TABLE goes down to them. */
export async function childrenOf(target: DbReader, ids: readonly string[]): Promise<string[]> {
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

export interface Blockers {
  /** Who was last seen in the way: `billing (pid 4711)`. */
  seen(): string[]
  stop(): Promise<void>
}

/** Looks now and then whom a session waits for: once it has given up, nobody can tell any more. Not with that session. */
export function watchBlockers(on: Pick<DbReader, 'query'>, pid: string, clock: Clock, firstMs = 20): Blockers {
  const over = new AbortController()
  let last: string[] = []
  const look = async (): Promise<void> => {
    for (let pause = firstMs; ; pause = Math.min(pause * 2, 500)) {
      await clock.sleep(pause, over.signal)
      const rows = await on.query<{ who: string }>(BLOCKERS, [pid])
      if (rows.length > 0) last = [...new Set(rows.map(({ who }) => shown(who)))]
    }
  }
  const looking = look().catch(() => undefined)
  return {
    seen: () => last,
    async stop() {
      over.abort()
      await looking
    },
  }
}

/** A prepared transaction has no process: it is found by the transaction number that it keeps locked. */
const BLOCKERS = `
select case when b.pid = 0 then coalesce(
         (select string_agg(distinct format('prepared transaction %L of user %s, prepared %s', left(p.gid, 100), p.owner, p.prepared::timestamptz(0)), ', ')
            from pg_locks w
            join pg_locks h on h.granted and h.pid is null and h.locktype = w.locktype
             and (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid, h.objsubid)
                 is not distinct from (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid, w.objsubid)
            join pg_locks x on x.locktype = 'transactionid' and x.granted and x.pid is null and x.virtualtransaction = h.virtualtransaction
            join pg_prepared_xacts p on p.transaction = x.transactionid
           where w.pid = $1::int and not w.granted), 'a prepared transaction')
       else coalesce(nullif(a.application_name, ''), 'a session') || ' (pid ' || b.pid || ')' end as who
  from unnest(pg_blocking_pids($1::int)) b(pid) left join pg_stat_activity a on a.pid = b.pid`

/** Names from the target: bounded, and on one line. */
function shown(who: string): string {
  return who.replaceAll(/\p{Cc}/gu, '\u{fffd}').slice(0, 300)
}

/** Runs what may wait for a lock in session `pid`; when it gives up, the error says who held it. `on` is another session. */
export async function namingBlockers<T>(
  on: Pick<DbReader, 'query'>,
  pid: string,
  clock: Clock,
  work: () => Promise<T>,
): Promise<T> {
  const blockers = watchBlockers(on, pid, clock, 200)
  try {
    return await work()
  } catch (error) {
    const holders = blockers.seen().join(', ')
    if (holders === '' || !['55P03', '57014'].includes(sqlState(error) ?? '')) throw error
    throw new StepError('STEP_FAILED', `${holders} holds what we wait for: ${messageOf(error)}`, { cause: error })
  } finally {
    await blockers.stop()
  }
}
