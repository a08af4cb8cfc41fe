/** Whom a session waits for, looked at now and then. */
import type { Clock } from '../../../core/clock.ts'
import type { Queries } from '../client.ts'
import type { Blockers } from '../dialect.ts'

/** Looks now and then whom a session waits for: once it has given up, nobody can tell any more. Not with that session. */
export function watchBlockers(on: Queries, pid: string, clock: Clock, firstMs = 20): Blockers {
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
