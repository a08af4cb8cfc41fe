/** A PostgreSQL that an agent is connected to. */
import { connectAgent } from '../agent.ts'
import { placeOf } from '../config.ts'
import type { ConnectAgent, OpenServer, Server } from '../verbs/server.ts'
import { AdvisoryClaims } from './claims.ts'
import { PostgresClient } from './client.ts'
import { discover } from './discover.ts'
import { namingDatabase } from './grants.ts'
import { readIdentity } from './identity.ts'
import { Sampler } from './sampler.ts'
import { endMarked, leftovers } from './sessions.ts'
import { readLimits } from './connect/limits.ts'

export const connectPostgres: ConnectAgent = (config, skills, options) =>
  connectAgent(openPostgres, config, skills, options)

const openPostgres: OpenServer = async (config, { mark, clock, signal }) => {
  const client = await PostgresClient.connect({ connectionUrl: placeOf(config), mark, signal })
  const readers: { close(): Promise<void> }[] = []
  const sampler = new Sampler(client, clock)
  const database = async (): Promise<string> =>
    (await client.query<{ name: string }>('select current_database()::text as name'))[0]?.name ?? ''
  const server: Server = {
    client,
    onReconnect: () => Promise.resolve(),
    identity: (control) => readIdentity(control, config),
    discover: (schemas, signal) => discover(client, schemas, signal),
    refuseShared: () => client.refusePooler(),
    showOurs: () => client.showOurs(),
    async openReader() {
      const reader = await client.openReader()
      readers.push(reader)
      return reader
    },
    connectionLimits: () => readLimits(client),
    placed: (plan) => namingDatabase(plan, database),
    claims: new AdvisoryClaims(client, clock),
    endMarked: (prefix, told) => endMarked(client, prefix, told, client.otherPids()),
    sample: (ours, signal) => sampler.sample(ours, signal),
    leftovers: (prefix) => leftovers(client, prefix, mark),
    async close() {
      await sampler.close()
      for (const reader of readers) await reader.close()
      await client.close()
    },
  }
  client.onReconnect = (query) => server.onReconnect({ query })
  return server
}
