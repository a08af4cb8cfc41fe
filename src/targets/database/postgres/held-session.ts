/** Sessions of ours that hold something for a step: how the step knows its own, and their end. */
import type { SessionOf, Sessions } from '../dialect.ts'
import { OWN_SESSION } from './own-session.ts'

export const sessions: Sessions = {
  async ownPid(on) {
    const [self] = await on.query<{ pid: string }>('select pg_backend_pid()::text as pid')
    return self?.pid ?? '0'
  },
  async openSnapshot(on) {
    await on.query('begin isolation level repeatable read')
    await on.query('select 1')
  },
  async end(on, session) {
    const left = await on.query<{ pid: string }>(
      `select a.pid::text, pg_terminate_backend(a.pid) from pg_stat_activity a where ${OF_STEP}`,
      stepValues(session),
    )
    return left.map(({ pid }) => pid)
  },
}

/**
 * The step's session: of its name, and what was recorded of it before it asked for a lock, so that a journal which was changed
 * names no session of others. Without a record nothing is held, and a session that has the step's name and can be shown to be
 * ours is ended all the same. Takes the three values of `stepValues`.
 */
export const OF_STEP = `a.application_name = $1 and case when $2::int is null then ${OWN_SESSION}
  else a.pid = $2::int and a.backend_start = $3::timestamptz end`

export function stepValues({ mark, pid, backend_start: start }: SessionOf): (string | null)[] {
  return [mark, pid ?? null, start ?? null]
}
