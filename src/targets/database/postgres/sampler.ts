/** How a PostgreSQL is doing: one statement, for which any role has the rights, on a connection of its own. */
import type { Clock } from '../../../core/clock.ts'
import { TargetError } from '../../../core/errors.ts'
import type { Sample } from '../../../core/sample.ts'
import { atMost } from '../../../core/within.ts'
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
  /** One for all samples, also for those that ask while it is opened. */
  #reader: Promise<Reader> | undefined

  constructor(client: Pick<PostgresClient, 'openReader'>, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Throws where there is no answer; the next one is asked for on a new connection. */
  async sample(ours: string, signal: AbortSignal): Promise<Sample> {
    signal.throwIfAborted()
    const opening = (this.#reader ??= this.#client.openReader())
    try {
      const reader = await opening
      const begun = this.#clock.monotonic()
      // The driver does not heed signals.
      const [row] = await atMost(ANSWER_MS, () => reader.query(SAMPLE, [ours]), thrown, signal)
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
    await reader?.then(
      (open) => open.close(),
      () => undefined,
    )
  }
}

function thrown(reason: unknown): never {
  throw reason
}
