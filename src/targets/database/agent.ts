/** The live connection to one PostgreSQL: who it is, what is on it, whose claims hold, what of ours is still running. */
import { TargetError } from '../../core/errors.ts'
import { markOf, runMark } from '../../core/skill.ts'
import { identityMismatch } from '../../core/identity.ts'
import type { Identity } from '../../core/identity.ts'
import type { AnySkill, Agent, ConnectOptions } from '../../core/target.ts'
import { runSkills } from '../../core/target.ts'
import type { DbClient, DbReader } from './client.ts'
import { ServerClaims } from './postgres/claims.ts'
import { connectionsNeeded, requireConnections } from './postgres/connect/connections.ts'
import { discover } from './postgres/discover.ts'
import { namingDatabase } from './postgres/grants.ts'
import { bracketed, placeOf } from './config.ts'
import type { DatabaseConfig } from './config.ts'
import { OWN_SESSION } from './postgres/own-session.ts'
import { PostgresClient } from './postgres/client.ts'
import { endSessions } from './postgres/sessions.ts'

/** What the marks of every install begin with. */
const MARKS = 'chaos-'

export async function connectPostgres(
  config: DatabaseConfig,
  skills: readonly AnySkill<DbReader, DbClient>[],
  options: ConnectOptions,
): Promise<Agent> {
  const { install, run, signal, clock } = options
  const client = await PostgresClient.connect({
    connectionUrl: placeOf(config),
    mark: markOf(install, run, 0),
    signal,
  })
  const claims = new ServerClaims(client, clock)
  let reader: Awaited<ReturnType<PostgresClient['openReader']>> | undefined
  let known: Identity | undefined

  client.onReconnect = async (query) => {
    const differing = known ? identityMismatch(known.parts, (await readIdentity(query, config)).parts) : []
    if (differing.length > 0) {
      throw new TargetError(
        'IDENTITY_MISMATCH',
        `another server answers at this address now (${differing.join(', ')} differ)`,
      )
    }
    await claims.takeAgain({ query })
  }

  const skillCalls = runSkills(
    skills,
    () => client,
    async () => {
      if (reader) return reader
      await requireConnections(client, connectionsNeeded({ held: 0, atOnce: 1, serverWide: false }))
      await client.refusePooler()
      await client.showOurs()
      return (reader = await client.openReader())
    },
  )
  const database = async (): Promise<string> =>
    (await client.query<{ name: string }>('select current_database()::text as name'))[0]?.name ?? ''
  /** Held sessions of a skill so far, by the set that its invocations of one run have in common. */
  const held = new WeakMap<object, number>()
  let wholeServer = false
  const notes = new Map<number, string | undefined>()

  return {
    async identity() {
      return (known ??= await readIdentity(client.query.bind(client), config))
    },
    discover: (signal) => discover(client, config.schemas, signal),
    ...skillCalls,
    async plan(name, params, ctx) {
      const plan = await namingDatabase(() => skillCalls.plan(name, params, ctx), database)
      const { phase, scope } = skills.find((s) => s.name === name) ?? {}
      const sessions = (held.get(ctx.taken) ?? 0) + (phase === 'held' ? plan.steps.length : 0)
      held.set(ctx.taken, sessions)
      wholeServer ||= scope === 'server' && plan.steps.length > 0
      const needed = connectionsNeeded({ held: sessions, atOnce: ctx.sideBySide ?? 1, serverWide: wholeServer })
      if (!notes.has(needed)) notes.set(needed, await requireConnections(client, needed))
      const note = notes.get(needed)
      return note === undefined ? plan : { ...plan, notes: [...(plan.notes ?? []), note] }
    },
    claim: (keys) => claims.take(keys),
    async quiesce(run, signal, stranger) {
      // Where it cannot be shown, only the undo after the next crash has to wait for the server to end it.
      await client.showOurs().catch(() => undefined)
      const strangers = await endSessions(client, runMark(install, run), clock, signal)
      for (const words of strangers) stranger?.(words)
    },
    // Our own control has the name of the run that is recovered, which may still have its own: that one has begun before.
    async sweep(install) {
      const rows = await client.query<{ application_name: string; describe: string; age_ms: string }>(
        `select a.application_name, format('session %s on database %s, %s', a.pid, a.datname, coalesce(a.state, 'not to be read')) as describe,
                greatest(0, extract(epoch from clock_timestamp() - a.backend_start) * 1000)::bigint::text as age_ms
           from pg_stat_activity a where starts_with(a.application_name, $1) and ${OWN_SESSION}
            and (a.application_name <> $2
              or a.backend_start < (select b.backend_start from pg_stat_activity b where b.pid = pg_backend_pid()))`,
        [install === undefined ? MARKS : runMark(install, ''), markOf(options.install, run, 0)],
      )
      return rows.map(({ application_name: mark, describe, age_ms }) => ({
        ...{ mark, kind: 'session', describe, age_ms: Number(age_ms) },
      }))
    },
    async close() {
      claims.stop()
      await reader?.close()
      await client.close()
    },
  }
}

type Query = DbReader['query']

async function readIdentity(query: Query, config: DatabaseConfig): Promise<Identity> {
  const [row] = await query(
    `select current_database()::text as database, d.oid::text, host(inet_server_addr()) as address,
            inet_server_port()::text as port, current_setting('port') as listen_port
       from pg_database d where d.datname = current_database()`,
  )
  const systemId = await query('select system_identifier::text as id from pg_control_system()').then(
    (rows) => rows[0]?.['id'] ?? null,
    () => null, // a managed service may not let us read it
  )
  if (!row) throw new TargetError('TARGET_FAILED', 'the database does not say which one it is')
  const address = row['address'] ?? null
  const port = row['port'] ?? row['listen_port'] ?? null
  const { host, port: asked } = placeOf(config)
  const name = host.startsWith('/') ? 'local' : bracketed(host)
  const server = systemId === null ? `${name}:${asked}` : `${systemId}:${port ?? ''}`
  return {
    scopes: {
      server: `postgres/${server}`,
      database: `postgres/${server}/${row['oid'] ?? ''}`,
      resource: `postgres/${server}/${row['oid'] ?? ''}`,
    },
    parts: {
      system_identifier: systemId,
      database: `${row['database'] ?? ''}/${row['oid'] ?? ''}`,
      // One server has an address per family, and `localhost` may be either: they are parts of their own.
      address_ipv4: address !== null && !address.includes(':') ? address : null,
      address_ipv6: address?.includes(':') ? address : null,
      port,
    },
  }
}
