/** Strangers' sessions that are named like ours: of our own role and of another, each in a transaction that has written. */
import assert from 'node:assert/strict'
import pg from 'pg'
import type { Postgres } from '../labs/embedded-postgres.ts'

export interface Namesakes {
  /** One session of each role for each name. */
  come(names: readonly string[]): Promise<void>
  /** One statement in each of them. */
  each(statement: string): Promise<void>
  /** Throws when a session or its transaction is another than the one that came. */
  untouched(): Promise<void>
  /** Resolves when the server has forgotten them. */
  end(): Promise<void>
}

const NO_ROLE = `do $$ begin
  if exists (select from pg_roles where rolname = 'namesake') then drop owned by namesake; drop role namesake; end if;
end $$`

/** `role`: whose sessions ours are. */
export function namesakes(server: () => Postgres, role = 'postgres'): Namesakes {
  const there: { client: pg.Client; pid: string; xid: string }[] = []
  const self = async (client: pg.Client): Promise<{ pid: string; xid: string }> => {
    const { rows } = await client.query<{ pid: string; xid: string }>(
      'select pg_backend_pid()::text as pid, pg_current_xact_id()::text as xid',
    )
    return rows[0]!
  }
  return {
    async come(names) {
      await server().sql(`${NO_ROLE}; create role namesake login`)
      for (const user of [role, 'namesake']) {
        for (const name of names) {
          const client = new pg.Client({ connectionString: server().url('postgres', user), application_name: name })
          client.on('error', () => undefined)
          await client.connect()
          await client.query('begin')
          there.push({ client, ...(await self(client)) })
        }
      }
    },
    async each(statement) {
      for (const { client } of there) await client.query(statement)
    },
    async untouched() {
      assert.ok(there.length > 0)
      for (const { client, pid, xid } of there) assert.deepEqual(await self(client), { pid, xid })
    },
    async end() {
      const pids = there.map(({ pid }) => pid)
      await Promise.all(there.splice(0).map(({ client }) => client.end()))
      const left = `select from pg_stat_activity where pid = any('{${pids.join()}}')`
      for (let n = 0; n < 1_000 && (await server().sql(left)).length > 0; n++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      await server().sql(NO_ROLE)
    },
  }
}
