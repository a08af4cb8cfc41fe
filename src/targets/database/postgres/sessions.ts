/** Sessions with a mark: ended where they are ours, and listed. */
import type { Leftover } from '../../../core/target.ts'
import type { Queries } from '../client.ts'
import type { MarkedSession, Told } from '../verbs/server.ts'
import { OWN_ROLE, OWN_SESSION } from './own-session.ts'

/** `others`: processes of connections of our own beside the control. */
export async function endMarked(
  on: Queries,
  prefix: string,
  told: readonly Told[],
  others: readonly string[],
): Promise<MarkedSession[]> {
  const found = await on.query<Found>(FIND_AND_END, [
    prefix,
    others,
    told.map(({ pid }) => pid),
    told.map(({ start }) => start),
  ])
  return found.map(({ pid, start, name, role, own_role, ours }) => ({
    ...{ pid, start: start ?? '', name, role, ownRole: own_role === 'true', ours: ours === 'true' },
  }))
}

/** Our own control, named `self`, has the name of the run that is recovered, which may still have its own: that one has begun before. */
export async function leftovers(on: Queries, prefix: string, self: string): Promise<Leftover[]> {
  const rows = await on.query<{ application_name: string; describe: string; age_ms: string }>(
    `select a.application_name, format('session %s on database %s, %s', a.pid, a.datname, coalesce(a.state, 'not to be read')) as describe,
                greatest(0, extract(epoch from clock_timestamp() - a.backend_start) * 1000)::bigint::text as age_ms
           from pg_stat_activity a where starts_with(a.application_name, $1) and ${OWN_SESSION}
            and (a.application_name <> $2
              or a.backend_start < (select b.backend_start from pg_stat_activity b where b.pid = pg_backend_pid()))`,
    [prefix, self],
  )
  return rows.map(({ application_name: mark, describe, age_ms }) => ({
    ...{ mark, kind: 'session', describe, age_ms: Number(age_ms) },
  }))
}

interface Found extends Record<string, string | null> {
  pid: string
  start: string | null
  name: string
  role: string
  own_role: string
  ours: string
}

/**
 * The control session of a worker that died carries mark 0 as ours does, and its undo may be under way too. Our own control says
 * who it is itself: it may be opened anew for this very statement. Parallel workers end with their leader.
 */
const FIND_AND_END = `
select s.pid, s.start, s.name, s.role, s.own_role::text, s.ours::text, case when s.ours then pg_terminate_backend(s.pid::int) end
  from (select a.pid::text, a.backend_start::text as start, a.application_name as name,
               coalesce(a.usename::text, a.usesysid::text, 'that is not to be seen') as role, coalesce(${OWN_ROLE}, false) as own_role,
               coalesce(${OWN_SESSION}, false)
                 or (a.pid, a.backend_start) in (select * from unnest($3::int[], $4::timestamptz[])) as ours
          from pg_stat_activity a
         where starts_with(a.application_name, $1) and a.pid <> pg_backend_pid() and a.pid <> all ($2::int[])
           and coalesce(a.backend_type, '') <> 'parallel worker') s`
