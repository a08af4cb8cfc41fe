/** Takes down what a PostgreSQL database and its server are like, and tells in plain lines how two such pictures differ. */
import pg from 'pg'
import { readFacts, readSettings } from './snapshot/facts.ts'
import { readTables, type Table } from './snapshot/tables.ts'

export { diff } from './snapshot/diff.ts'

/** Plain JSON. */
export interface Snapshot {
  /** `public.orders` → its rows. */
  tables: Record<string, Table>
  /** Everything else, as `setting work_mem` → `4096kB from default`. */
  facts: Record<string, string>
  /** postgresql.auto.conf, one character per byte; undefined where we may not read it. */
  autoConf?: string
}

export interface SnapshotOptions {
  /** Where sequences stand. Left out otherwise: they stay advanced when rows are taken back. */
  sequences?: boolean
  /** Tables with more rows are kept as a count and a hash. */
  keepRows?: number
}

/** Needs a superuser to see everything; what it may not read is a fact that says so. A table locked for 5 s counts as unreadable. */
export async function snapshot(url: string, options: SnapshotOptions = {}): Promise<Snapshot> {
  const { sequences = false, keepRows = 20_000 } = options
  const client = new pg.Client({ connectionString: url, application_name: 'snapshot' })
  client.on('error', () => undefined)
  await client.connect()
  try {
    // Before ours are set, which they would show.
    const settings = await readSettings(client)
    await client.query(`begin isolation level repeatable read, read only; ${PINNED}`)
    const facts = { ...settings, ...(await readFacts(client, sequences)) }
    const tables = await readTables(client, keepRows)
    const autoConf = await readAutoConf(client)
    await client.query('rollback')
    return { tables, facts, ...(autoConf === undefined ? {} : { autoConf }) }
  } finally {
    await client.end()
  }
}

/** So that texts compare, whatever the server, the database or the role have been set to meanwhile. */
const PINNED = `
  set local statement_timeout = 0; set local lock_timeout = '5s'; set local search_path = pg_catalog;
  set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local timezone = 'UTC';
  set local bytea_output = 'hex'; set local extra_float_digits = 3; set local xmloption = 'content'`

async function readAutoConf(client: pg.Client): Promise<string | undefined> {
  await client.query('savepoint auto_conf')
  try {
    const { rows } = await client.query<{ content: Buffer }>(
      `select pg_read_binary_file('postgresql.auto.conf') as content`,
    )
    return rows[0]?.content.toString('latin1')
  } catch {
    await client.query('rollback to auto_conf')
    return undefined
  }
}
