/** The sandbox of the database target: two small tables in a schema of its own, on a given server or on one it starts. */
import type pg from 'pg'
import { systemClock } from '../../../../core/clock.ts'
import type { Sandbox, SandboxOptions } from '../../../../core/sandbox.ts'
import { runMark } from '../../../../core/skill.ts'
import { until } from '../../../../core/until.ts'
import { Connection, openingOf } from '../connect/connection.ts'
import { placeOf } from '../../config.ts'
import { startOwnServer } from './server.ts'
import { quoteIdent } from '../sql.ts'
import { redactUrl } from '../connect/url.ts'

/** Named after the install: what an earlier one left is replaced, and two installs do not meet. */
const schemaOf = (install: string): string => `chaos_selftest_${install}`

const PARAMS: Record<string, Record<string, unknown>> = {
  'db.insert_load': { rows_per_table: 20, batch_rows: 10 },
  'db.update_load': { rows: 10 },
  'db.config_change': { changes: [{ param: 'work_mem', value: '5MB' }] },
}

/** How long a server may take to notice that a killed client is gone. */
const SESSIONS_MS = 10_000

export async function openSandbox({ url, install }: SandboxOptions): Promise<Sandbox> {
  const own = url === undefined ? await startOwnServer() : undefined
  const connectionUrl = url ?? own?.url ?? ''
  const schema = schemaOf(install)
  try {
    await withClient(connectionUrl, async (client) => {
      await client.query(`drop schema if exists ${quoteIdent(schema)} cascade`)
      await client.query(`create schema ${quoteIdent(schema)}`)
      await client.query(`set search_path = ${quoteIdent(schema)}`)
      await client.query(TABLES)
    })
  } catch (error) {
    await own?.stop()
    throw error
  }
  return {
    describe: `${own ? 'a PostgreSQL of its own' : redactUrl(connectionUrl)}, schema ${schema}`,
    target_config: { connection_url: connectionUrl, db_type: 'postgres', schemas: [schema] },
    params: (skill) => (skill === 'db.table_lock' ? { tables: [`${schema}.customers`] } : PARAMS[skill]),
    picture: () => withClient(connectionUrl, (client) => pictureOf(client, schema, install)),
    async close() {
      if (own) await own.stop()
      else
        await withClient(connectionUrl, (client) => client.query(`drop schema if exists ${quoteIdent(schema)} cascade`))
    },
  }
}

const TABLES = `
  create table customers (id integer primary key, name text not null, city text, since date);
  create table orders (id serial primary key, customer integer not null references customers, item text, amount numeric(10,2));
  create index on orders (customer);
  insert into customers select i, 'customer ' || i, case when i % 3 > 0 then 'city ' || i end, date '2020-01-01' + i from generate_series(1, 20) i;
  insert into orders (customer, item, amount) select i % 20 + 1, 'item ' || i, i * 1.5 from generate_series(1, 40) i;`

async function pictureOf(client: pg.Client, schema: string, install: string): Promise<Record<string, string>> {
  const picture: Record<string, string> = {}
  const read = async (sql: string, params: unknown[] = []): Promise<void> => {
    const { rows } = await client.query<{ name: string; value: string | null }>(sql, params)
    for (const { name, value } of rows) picture[name] = String(value)
  }
  for (const table of ['customers', 'orders']) {
    await read(`select format('${table} %s', id) as name, t::text as value from ${quoteIdent(schema)}.${table} t`)
  }
  await read(
    `select 'setting ' || name as name, concat(setting, ' from ', source) as value from pg_settings where source not in ('client', 'session')`,
  )
  await read(
    `select 'tables' as name, string_agg(c.oid::regclass::text, ', ' order by c.oid) as value
                from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = $1`,
    [schema],
  )
  const sessions = `select format('session %s', pid) as name, application_name as value from pg_stat_activity where starts_with(application_name, $1)`
  const marks = [runMark(install, '')]
  const areGone = async (): Promise<boolean> => (await client.query(sessions, marks)).rows.length === 0
  await until(areGone, { clock: systemClock, ms: SESSIONS_MS })
  await read(sessions, marks)
  return picture
}

async function withClient<T>(connectionUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const opening = openingOf(placeOf({ connection_url: connectionUrl }), 'selftest', {})
  const connection = await Connection.open(opening, new AbortController().signal)
  try {
    return await work(connection.client)
  } finally {
    await connection.close()
  }
}
