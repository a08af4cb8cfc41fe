/**
 * Claims on a PostgreSQL: advisory locks that end with our session. Where that ends in a run they are taken again at once; they
 * are lost when somebody else has one of them by then, or when the server is away for too long.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../../core/clock.ts'
import { formatDuration } from '../../../core/duration.ts'
import { messageOf, RefusedError } from '../../../core/errors.ts'
import { oneLine } from '../../../core/foreign.ts'
import type { Claim, ClaimKey } from '../../../core/target.ts'
import { until } from '../../../core/until.ts'
import type { Queries } from '../client.ts'
import type { ServerClaims } from '../verbs/server.ts'
import type { PostgresClient } from './client.ts'

/** How long the server may be away before what was claimed on it counts as lost. */
const AWAY_MS = 30_000

type Client = Pick<PostgresClient, 'query' | 'auxiliary' | 'gone'>
type Session = Queries & { gone: Promise<Error> }

export class AdvisoryClaims implements ServerClaims {
  readonly #client: Client
  readonly #clock: Clock
  readonly #held: ClaimKey[] = []
  /** Where the whole server is claimed. */
  #server: Session | undefined
  /** The first that another session had when it was to be taken again. */
  #missed: string | undefined
  #lost: Promise<string> | undefined
  readonly #stop = new AbortController()

  constructor(client: Client, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Throws RefusedError REFUSED_CLAIMED, which names the holder. */
  async take(keys: readonly ClaimKey[]): Promise<Claim> {
    for (const claim of keys) {
      const on = claim.scope === 'server' ? (this.#server = await serverWide(this.#client)) : this.#client
      if (!(await tryClaim(on, claim.key)))
        throw new RefusedError(
          'REFUSED_CLAIMED',
          `${await usedBy(on, claim.key)}; wait until it is done, or look who that is: anybody who may log in can take an advisory lock`,
        )
      this.#held.push(claim)
    }
    if (this.#held.length === 0) return {}
    return { lost: (this.#lost ??= this.#untilLost()) }
  }

  /** With a control connection that was opened anew. What others have by now does not keep an undo from it. */
  async takeAgain(control: Queries): Promise<void> {
    for (const { key, scope } of this.#held) if (scope !== 'server') await this.#again(control, key)
  }

  /** Nothing is lost any more. */
  stop(): void {
    this.#stop.abort()
  }

  async #untilLost(): Promise<string> {
    const { signal } = this.#stop
    for (;;) {
      const ended = await Promise.race([this.#client.gone, ...(this.#server ? [this.#server.gone] : [])])
      if (signal.aborted) return never()
      const polling = { clock: this.#clock, ms: AWAY_MS, signal, pauses: [50, 1_000] as const }
      const held = await until(() => this.#heldAgain(), polling).catch(never)
      const why = oneLine(messageOf(ended))
      if (held === undefined) return `${why}; the database does not answer for ${formatDuration(AWAY_MS)}`
      if (this.#missed !== undefined) return `${why}; ${this.#missed} now`
    }
  }

  /** True where that could be found out. */
  async #heldAgain(): Promise<boolean> {
    try {
      // Opens the control anew where it was lost, which takes its claims with it.
      await this.#client.query('select 1')
      const serverKeys = this.#held.filter(({ scope }) => scope === 'server')
      if (serverKeys.length > 0) this.#server = await serverWide(this.#client)
      for (const { key } of serverKeys) if (this.#server) await this.#again(this.#server, key)
      return true
    } catch {
      return false
    }
  }

  async #again(on: Queries, key: string): Promise<void> {
    if (!(await tryClaim(on, key))) this.#missed ??= await usedBy(on, key)
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

async function usedBy(on: Queries, key: string): Promise<string> {
  return `${key} is in use by ${(await holderOf(on, key)) ?? 'another session'}`
}

/** Settings belong to the whole server but advisory locks to one database: everybody meets in `postgres`. */
async function serverWide(client: Client): Promise<Session> {
  try {
    return await client.auxiliary('postgres')
  } catch (error) {
    throw new RefusedError(
      'REFUSED_CLAIMED',
      `cannot claim the server's settings: the database "postgres" is where claims on a whole server meet, and we cannot connect to it (${messageOf(error)})`,
      { cause: error },
    )
  }
}

/** An advisory lock that ends with our session. True when it is ours. */
async function tryClaim(on: Queries, key: string): Promise<boolean> {
  const [row] = await on.query('select pg_try_advisory_lock($1::bigint)::text as ok', [lockNumber(key)])
  return row?.['ok'] === 'true'
}

async function holderOf(on: Queries, key: string): Promise<string | null> {
  const n = BigInt.asUintN(64, BigInt(lockNumber(key)))
  const [row] = await on.query(
    `select format('%s (role %s, %s, pid %s)', coalesce(nullif(a.application_name, ''), 'a session'), coalesce(a.usename::text, 'not to be seen'),
              case when a.client_addr is null then 'local' else 'address ' || host(a.client_addr) end, a.pid) as name
       from pg_locks l join pg_stat_activity a using (pid)
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = $1::bigint::oid and l.objid = $2::bigint::oid
        and l.database = (select oid from pg_database where datname = current_database())`,
    [(n >> 32n).toString(), (n & 0xffffffffn).toString()],
  )
  return row?.['name'] ?? null
}

/** The first 8 bytes of a SHA-256, as a signed 64-bit number. */
function lockNumber(key: string): string {
  return createHash('sha256').update(`chaos-agents/${key}`).digest().readBigInt64BE(0).toString()
}
