/** For each kind of target a small real system that its skills are killed on, and how to see whether it is as before. */
import { applicationWorld } from './application-world.ts'
import { startPostgres } from '../labs/embedded-postgres.ts'
import type { Postgres } from '../labs/embedded-postgres.ts'
import { diff, snapshot } from '../labs/snapshot.ts'
import type { Snapshot } from '../labs/snapshot.ts'

export interface World {
  target: string
  target_config: unknown
  /** What a skill is told here; a skill that needs nothing need not be known. */
  params(skill: string): Record<string, unknown>
  /** How long its fault is held, milliseconds. */
  soakMs(skill: string): number
  picture(): Promise<Picture>
  /** Strangers replace what the target is made of, and own whatever has our names afterwards; it can be broken as before. */
  replace(): Promise<void>
  close(): Promise<void>
}

export interface Picture {
  /** What differs now, and whatever of ours is still there. */
  residue(): Promise<string[]>
}

/** Target → its world. A new target has to bring one. */
export const WORLDS: Record<string, () => Promise<World>> = { database: databaseWorld, application: applicationWorld }

/** Enough where nothing has to happen meanwhile. */
const SOAK_MS = 20

const TABLES = `
  create table parents (id integer primary key, name text not null, mood text);
  create table things (id serial primary key, parent integer not null references parents, body text, amount integer, at timestamptz);
  create index on things (parent);
  insert into parents select i, 'parent ' || i, case when i % 2 = 0 then 'calm' end from generate_series(1, 4) i;
  insert into things (parent, body, amount, at)
    select i % 4 + 1, case when i % 3 > 0 then 'thing ' || i end, i, timestamptz '2020-01-01' + i * interval '1 day' from generate_series(1, 12) i;`

/** Everything anew, from another backup: whatever keys we have used are somebody else's rows now. */
const RELOADED = (used: number): string => `
  drop table things, parents;
  ${TABLES}
  insert into things (parent, body, amount, at)
    select i % 4 + 1, 'theirs ' || i, i, timestamptz '2021-01-01' from generate_series(13, ${used} + 50) i;`

/** Few steps of few rows: what matters is the order of events, and every event is a point to die at. */
const PARAMS: Record<string, Record<string, unknown>> = {
  'db.insert_load': { tables: ['things'], rows_per_table: 4, batch_rows: 2 },
  'db.update_load': { tables: ['things'], rows: 3 },
  'db.config_change': {
    changes: [
      { param: 'maintenance_work_mem', value: '71MB' },
      { param: 'work_mem', value: '5MB' },
    ],
  },
  'db.table_lock': { tables: ['things'] },
}

/** How long the server may take to notice that a killed client is gone. */
const SESSIONS_MS = 10_000

export async function databaseWorld(): Promise<World & { server: Postgres }> {
  const server = await startPostgres()
  await server.sql(TABLES)
  await server.sql(`alter system set maintenance_work_mem = '70MB'`)
  await server.sql('select pg_reload_conf()')
  return {
    server,
    target: 'database',
    target_config: { connection_url: server.url(), db_type: 'postgres', schemas: [] },
    params: (skill) => PARAMS[skill] ?? {},
    soakMs: () => SOAK_MS,
    async picture() {
      const before = await snapshot(server.url())
      return { residue: () => residueOf(server, before) }
    },
    async replace() {
      const [row] = await server.sql('select last_value from things_id_seq')
      await server.sql(RELOADED(Number(row?.['last_value'])))
      // The settings are somebody's too, and neither what they were before us nor what we made of them.
      const [now] = await server.sql(`select setting from pg_settings where name = 'maintenance_work_mem'`)
      await server.sql(`alter system set maintenance_work_mem = '${(Number(now?.['setting']) % 2048) + 81_920}kB'`)
      await server.sql(`alter system set work_mem = '7MB'`)
      await server.sql('select pg_reload_conf()')
    },
    close: () => server.stop(),
  }
}

async function residueOf(server: Postgres, before: Snapshot): Promise<string[]> {
  const end = Date.now() + SESSIONS_MS
  let sessions: unknown[]
  do {
    sessions = await server.sql(
      `select application_name, state, query from pg_stat_activity where application_name like 'chaos-%'`,
    )
  } while (sessions.length > 0 && Date.now() < end)
  const lines = diff(before, await snapshot(server.url()))
  return [...lines, ...sessions.map((session) => `session ${JSON.stringify(session)}`)]
}
