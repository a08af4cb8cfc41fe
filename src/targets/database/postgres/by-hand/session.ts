/** Ending a session of ours by hand, which is known as in the undo. */
import type { SessionOf } from '../../dialect.ts'
import { OWN_SESSION } from '../own-session.ts'
import { inPsql, literal, remark } from './psql.ts'

export function endSessionByHand(config: unknown, { mark, pid, backend_start: start }: SessionOf): string[] {
  const recorded =
    pid === undefined
      ? OWN_SESSION
      : `a.pid = ${literal(pid)}::int and a.backend_start = ${literal(start ?? null)}::timestamptz`
  const ours = `a.application_name = ${literal(mark)} and ${recorded}`
  return [
    remark('ends the session that holds the locks; where it is gone already, this finds nothing'),
    ...inPsql(config, [`select a.pid, pg_terminate_backend(a.pid) from pg_stat_activity a where ${ours};`]),
  ]
}
