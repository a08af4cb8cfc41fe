/** How many connections a run opens at once, and how many the server has left for our role. */
import { RefusedError } from '../../../../core/errors.ts'
import type { DbReader } from '../../client.ts'

/** What every run has open: the connection that looks and undoes, and the one that plans. */
const BASE = 2

export interface Wants {
  /** Steps whose session stays open for the soak. */
  held: number
  /** Steps that are applied side by side. */
  atOnce: number
  /** Claims on the whole server are taken in the database `postgres`. */
  serverWide: boolean
}

/** Connections that the run has open at its busiest. */
export function connectionsNeeded({ held, atOnce, serverWide }: Wants): number {
  return BASE + (serverWide ? 1 : 0) + Math.max(1, held, atOnce)
}

/** A limit that counts for us, and how much of it others use. */
export interface ConnectionLimit {
  /** For people: `role chaos (CONNECTION LIMIT 2)`. */
  of: string
  limit: number
  others: number
}

/** Why the run would not get its connections; undefined when there is room. */
function tooFewConnections(needed: number, limits: readonly ConnectionLimit[]): string | undefined {
  const tight = tightest(limits)
  if (!tight || needed <= tight.limit - tight.others) return undefined
  const left = Math.max(0, tight.limit - tight.others)
  return (
    `the run needs ${needed} connections at once, and ${tight.of} has ${left} left for it: others use ${tight.others}; ` +
    `raise the limit, or run when fewer are in use`
  )
}

/** Worth a word: few are left to others meanwhile. */
function connectionsNote(needed: number, limits: readonly ConnectionLimit[]): string | undefined {
  const tight = tightest(limits)
  if (!tight) return undefined
  const left = tight.limit - tight.others - needed
  return left >= FEW
    ? undefined
    : `the run needs ${needed} connections at once; ${tight.of} leaves ${left} to others meanwhile`
}

const FEW = 5

function tightest(limits: readonly ConnectionLimit[]): ConnectionLimit | undefined {
  return [...limits].sort((a, b) => a.limit - a.others - (b.limit - b.others))[0]
}

/** Throws RefusedError REFUSED_UNSUITABLE where there is no room for the run. Gives a note for its plan. */
export async function requireConnections(reader: Pick<DbReader, 'query'>, needed: number): Promise<string | undefined> {
  const limits = await readLimits(reader)
  const why = tooFewConnections(needed, limits)
  if (why !== undefined) throw new RefusedError('REFUSED_UNSUITABLE', why)
  return connectionsNote(needed, limits)
}

/** Of our role, our database and the server. The control and what else has its name are ours; a superuser is bound by the server alone. */
async function readLimits(reader: Pick<DbReader, 'query'>): Promise<ConnectionLimit[]> {
  const rows = await reader.query<{ of: string; limit: string; others: string }>(
    `with others as (select usename, datname from pg_stat_activity
            where datid is not null and coalesce(backend_type, 'client backend') = 'client backend'
              and application_name is distinct from current_setting('application_name')),
          me as (select rolname, rolsuper, rolconnlimit from pg_roles where rolname = session_user),
          reserved(n) as (select case when rolsuper then 0 else current_setting('superuser_reserved_connections')::int
              + case when exists (select from pg_roles r where r.rolname = 'pg_use_reserved_connections' and pg_has_role(session_user, r.oid, 'MEMBER'))
                  then 0 else coalesce(current_setting('reserved_connections', true), '0')::int end end from me)
     select format('role %s (CONNECTION LIMIT %s)', rolname, rolconnlimit) as of, rolconnlimit::text as limit,
            (select count(*) from others where usename = rolname)::text as others
       from me where rolconnlimit >= 0 and not rolsuper
     union all
     select format('database %s (CONNECTION LIMIT %s)', d.datname, datconnlimit), datconnlimit::text,
            (select count(*) from others o where o.datname = d.datname)::text
       from pg_database d, me where d.datname = current_database() and datconnlimit >= 0 and not rolsuper
     union all
     select format('the server (max_connections %s, %s of them reserved)', current_setting('max_connections'), n),
            (current_setting('max_connections')::int - n)::text, (select count(*) from others)::text
       from reserved`,
  )
  return rows.map(({ of, limit, others }) => ({ of, limit: Number(limit), others: Number(others) }))
}
