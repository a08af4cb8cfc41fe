/** Ends the sessions of a run, and waits until they are gone. What only has their name is left alone and named. */
import type { Clock } from '../../../core/clock.ts'
import { RollbackError } from '../../../core/errors.ts'
import { until } from '../../../core/until.ts'
import { OWN_ROLE, OWN_SESSION } from './own-session.ts'
import type { PostgresClient } from './client.ts'

/** How long a session may take to go that was told to end. */
const ENDING_MS = 30_000
/** How long one of our role that nothing shows to be ours may take. Ours is like that while it ends, and before it has done anything. */
const DOUBT_MS = 1_000

/**
 * Resolves with a word about each session that has such a name and cannot be shown to be ours. Throws RollbackError RESIDUE
 * where one of ours does not go; a stranger's is never waited for longer than a second.
 */
export async function endSessions(
  client: Pick<PostgresClient, 'query' | 'otherPids'>,
  prefix: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string[]> {
  const begun = clock.monotonic()
  /** By process, when each began that was told to end: it lets go of what shows that it is ours before it is gone. */
  const told = new Map<string, string>()
  let left: Found[] = []
  const strangersAlone = async (): Promise<Found[] | undefined> => {
    const found = await client.query<Found>(FIND_AND_END, [
      prefix,
      client.otherPids(),
      [...told.keys()],
      [...told.values()],
    ])
    left = found.filter((one) => one.ours === 'true')
    const strangers = found.filter((one) => one.ours !== 'true')
    for (const { pid, start } of left) told.set(pid, start ?? '')
    const isOver = clock.monotonic() - begun > DOUBT_MS || strangers.every((one) => one.own_role !== 'true')
    return left.length === 0 && isOver ? strangers : undefined
  }
  const strangers = await until(strangersAlone, { clock, ms: ENDING_MS, signal, pauses: [5, 250] })
  if (strangers) return strangers.map(({ pid, role, name }) => `session ${pid} of role ${role} (${name})`)
  const names = left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')
  throw new RollbackError('RESIDUE', `sessions of this run do not end: ${names}; end them on the server`)
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
