/** How many connections the server has for our role, and how many others use. */
import type { Queries } from '../../client.ts'
import type { ConnectionLimit } from '../../verbs/server.ts'

/** Of our role, our database and the server. The control and what else has its name are ours; a superuser is bound by the server alone. */
export async function readLimits(reader: Queries): Promise<ConnectionLimit[]> {
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
