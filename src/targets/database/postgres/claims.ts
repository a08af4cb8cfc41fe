/**
 * Claims on a PostgreSQL: advisory locks that end with our session. Where that ends in a run they are taken again as soon as
 * the server answers; they are lost when somebody else has one of them by then. A server that is away shows nothing yet.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../../core/clock.ts'
import { messageOf, RefusedError } from '../../../core/errors.ts'
import { oneLine } from '../../../core/foreign.ts'
import type { Claim, ClaimKey } from '../../../core/target.ts'
import { until } from '../../../core/until.ts'
import type { Queries, Row } from '../client.ts'
import type { ServerClaims } from '../verbs/server.ts'
import type { PostgresClient } from './client.ts'
import { OWN_SESSION } from './own-session.ts'

type Client = Pick<PostgresClient, 'query' | 'auxiliary' | 'gone'>
type Session = Queries & { gone: Promise<Error> }

export class AdvisoryClaims implements ServerClaims {
  readonly #client: Client
  readonly #clock: Clock
  readonly #held: ClaimKey[] = []
  /** Where the whole server is claimed. */
  #server: Session | undefined
  /** Those that no session of ours has since the one that had them ended. */
  readonly #missing = new Set<ClaimKey>()
  /** The first of them that somebody else has by now. */
  #taken: string | undefined
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
          `${inUse(claim.key, await holderOf(on, claim.key))}; wait until it is done, or look who that is: anybody who may log in can take an advisory lock`,
        )
      this.#held.push(claim)
    }
    if (this.#held.length === 0) return {}
    return { lost: (this.#lost ??= this.#untilLost()) }
  }

  /** With a control connection that was opened anew. What others have by now does not keep an undo from it. */
  async takeAgain(control: Queries): Promise<void> {
    for (const claim of this.#held.filter(({ scope }) => scope !== 'server')) {
      this.#missing.add(claim)
      await this.#again(control, claim).catch(() => undefined)
    }
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
      const polling = { clock: this.#clock, signal, pauses: [50, 1_000] as const }
      await until(() => this.#isSettled(), polling).catch(never)
      if (this.#taken !== undefined) return `${oneLine(messageOf(ended))}; ${this.#taken} now`
    }
  }

  /** Whether each is ours again, or somebody else has one. A session of ours that is only about to end is waited for. */
  async #isSettled(): Promise<boolean> {
    try {
      // Opens the control anew where it was lost, which takes its claims with it.
      await this.#client.query('select 1')
      const serverKeys = this.#held.filter(({ scope }) => scope === 'server')
      const server = serverKeys.length > 0 ? await serverWide(this.#client) : undefined
      if (server !== this.#server) for (const claim of serverKeys) this.#missing.add(claim)
      this.#server = server
      for (const claim of this.#missing)
        await this.#again(claim.scope === 'server' && server ? server : this.#client, claim)
      return this.#missing.size === 0 || this.#taken !== undefined
    } catch {
      return false
    }
  }

  async #again(on: Queries, claim: ClaimKey): Promise<void> {
    if (await tryClaim(on, claim.key)) {
      this.#missing.delete(claim)
      return
    }
    const holder = await holderOf(on, claim.key)
    if (holder && holder.own !== 'true') this.#taken ??= inUse(claim.key, holder)
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

function inUse(key: string, holder: Holder | undefined): string {
  return `${key} is in use by ${holder?.name ?? 'another session'}`
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

interface Holder extends Row {
  name: string | null
  /** Ours, of this run: it has the name of the session that asks. */
  own: string | null
}

async function holderOf(on: Queries, key: string): Promise<Holder | undefined> {
  const n = BigInt.asUintN(64, BigInt(lockNumber(key)))
  const [row] = await on.query<Holder>(
    `select format('%s (role %s, %s, pid %s)', coalesce(nullif(a.application_name, ''), 'a session'), coalesce(a.usename::text, 'not to be seen'),
              case when a.client_addr is null then 'local' else 'address ' || host(a.client_addr) end, a.pid) as name,
            (a.application_name = current_setting('application_name') and ${OWN_SESSION})::text as own
       from pg_locks l join pg_stat_activity a using (pid)
      where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid = $1::bigint::oid and l.objid = $2::bigint::oid
        and l.database = (select oid from pg_database where datname = current_database())`,
    [(n >> 32n).toString(), (n & 0xffffffffn).toString()],
  )
  return row
}

/** The first 8 bytes of a SHA-256, as a signed 64-bit number. */
function lockNumber(key: string): string {
  return createHash('sha256').update(`chaos-agents/${key}`).digest().readBigInt64BE(0).toString()
}
