/** How a PostgreSQL is doing: one statement, for which any role has the rights, on a connection of its own. */
import type { Clock } from '../../../core/clock.ts'
import { TargetError } from '../../../core/errors.ts'
import type { Sample } from '../../../core/sample.ts'
import { within } from '../../../core/within.ts'
import type { PostgresClient } from './client.ts'

/** An answer comes in a few milliseconds; one that takes so long is none. */
const ANSWER_MS = 5_000

/** Our own sessions are not counted. Of those of other roles the state may be hidden from ours: they are in `sessions` alone. */
const SAMPLE = `
select pg_postmaster_start_time()::text || ' ' || coalesce(d.stats_reset::text, '') as epoch, g.*,
       d.xact_commit::text as commits, d.xact_rollback::text as rollbacks, d.blks_read::text, d.blks_hit::text,
       d.deadlocks::text, d.temp_bytes::text
  from pg_stat_database d,
       (select count(*)::text as sessions,
               (count(*) filter (where a.state = 'active'))::text as active,
               (count(*) filter (where a.state like 'idle in transaction%'))::text as idle_in_transaction,
               (count(*) filter (where a.pid in (select l.pid from pg_locks l where not l.granted)))::text as waiting_on_locks,
               round(coalesce(extract(epoch from max(clock_timestamp() - a.xact_start)), 0)::numeric, 3)::text as oldest_transaction_s
          from pg_stat_activity a
         where coalesce(a.backend_type, 'client backend') = 'client backend' and a.datname = current_database()
           and not starts_with(a.application_name, $1)) g
 where d.datname = current_database()`

const GAUGES = ['sessions', 'active', 'idle_in_transaction', 'waiting_on_locks', 'oldest_transaction_s']
const COUNTERS = ['commits', 'rollbacks', 'blks_read', 'blks_hit', 'deadlocks', 'temp_bytes']

type Reader = Awaited<ReturnType<PostgresClient['openReader']>>

export class Sampler {
  readonly #client: Pick<PostgresClient, 'openReader'>
  readonly #clock: Clock
  #reader: Reader | undefined

  constructor(client: Pick<PostgresClient, 'openReader'>, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Throws where there is no answer; the next one is asked for on a new connection. */
  async sample(ours: string, signal: AbortSignal): Promise<Sample> {
    signal.throwIfAborted()
    const reader = (this.#reader ??= await this.#client.openReader())
    const begun = this.#clock.monotonic()
    try {
      const [row] = await within(ANSWER_MS, (soon) => orAborted(reader.query(SAMPLE, [ours]), soon), signal)
      if (!row) throw new TargetError('TARGET_FAILED', 'the database tells nothing of itself')
      const round_trip_ms = this.#clock.monotonic() - begun
      const numbers = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, Number(row[name])]))
      return { epoch: row['epoch'] ?? '', round_trip_ms, gauges: numbers(GAUGES), counters: numbers(COUNTERS) }
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async close(): Promise<void> {
    const reader = this.#reader
    this.#reader = undefined
    await reader?.close()
  }
}

/** The driver does not heed signals. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    work.then(resolve, reject)
  })
}
