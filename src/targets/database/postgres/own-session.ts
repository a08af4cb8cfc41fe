/**
 * What shows that a session is ours. Its name finds it and shows nothing: anybody can take it, with our own role too. So each
 * connection takes an advisory lock on a number that is made from its own process and start, before anything else. A lock is
 * held by one session and ends with it; another session cannot copy this one, because its own number is another. It needs no
 * journal, so that it holds after a crash and for a sweep, and the server itself compares.
 */
import type { Queries } from '../client.ts'
import { TargetError } from '../../../core/errors.ts'

/** The first number of these locks: `chao`. */
export const LOCK_CLASS = 0x6368616f

/** The second. Other roles do not get to see the start, so nobody can take the lock before we do. Any search path will do. */
const NUMBER =
  `(pg_catalog.hashfloat8(pg_catalog.date_part('epoch'::pg_catalog.text, a.backend_start)) ` +
  `operator(pg_catalog.#) pg_catalog.hashint4(a.pid))`

/** Whether row `a` of pg_stat_activity is of our own role. */
export const OWN_ROLE = `a.usesysid = (select u.oid from pg_catalog.pg_roles as u where u.rolname = session_user)`

/** Whether row `a` of pg_stat_activity is a session of ours, of whichever run: with our role, and the lock that it holds itself. */
export const OWN_SESSION = `(${OWN_ROLE} and (a.pid, ${NUMBER}::oid) in (select l.pid, l.objid from pg_catalog.pg_locks as l
  where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS}::oid and l.objsubid = 2 and l.granted))`

export interface Self {
  pid: string
  backend_start: string
}

/**
 * Makes the session one that can be shown to be ours. Undefined, and without a lock, where it does not have the name that we
 * opened it with. Throws TargetError where somebody else holds its number.
 */
export async function prove(session: Queries, name?: string): Promise<Self | undefined> {
  const [self] = await session.query<{ pid: string; backend_start: string; proved: string }>(
    `select a.pid::pg_catalog.text, a.backend_start::pg_catalog.text,
            pg_catalog.pg_try_advisory_lock(${LOCK_CLASS}, ${NUMBER})::pg_catalog.text as proved
       from pg_catalog.pg_stat_activity as a
      where a.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()
        and ($1::pg_catalog.text is null or a.application_name operator(pg_catalog.=) $1::pg_catalog.text)`,
    [name ?? null],
  )
  if (self && self.proved !== 'true')
    throw new TargetError('TARGET_FAILED', 'another session holds the lock that shows which sessions are ours')
  return self
}
