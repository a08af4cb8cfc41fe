/** What is on a PostgreSQL database: its tables as resources, and one line about the server. */
import { ConfigError, TargetError } from '../../../core/errors.ts'
import type { Resource } from '../../../core/skill.ts'
import type { Discovery } from '../../../core/target.ts'
import { bookkeeping, SUSPICIOUS } from '../rows/bookkeeping.ts'
import type { DbReader } from '../client.ts'
import { isPlain, isUnreadable } from './catalog/encoding.ts'

/** Tables of all schemas that are the user's, or of `schemas` when given. Throws ConfigError for a schema that is not there. */
export async function discover(client: DbReader, schemas: string[], signal: AbortSignal): Promise<Discovery> {
  await refuseUnknown(client, schemas, ALL).catch(withoutUnreadable(() => refuseUnknown(client, schemas, READABLE)))
  signal.throwIfAborted()
  let unread = ''
  const resources = await tables(client, schemas, ALL).catch(
    withoutUnreadable(() => {
      unread = '; tables with names that cannot be read in UTF-8 are left out'
      return tables(client, schemas, READABLE)
    }),
  )
  signal.throwIfAborted()
  return { resources, summary: `${await summary(client)}${unread}` }
}

/** Schemas that are neither the system's nor of temporary tables. */
const USER_SCHEMA = `n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and n.nspname !~ '^pg_(toast_)?temp_'`

/** Which names are read: SQL about each. */
interface Which {
  schema: string
  table: string
  columns: string
}

const ALL: Which = { schema: 'true', table: 'true', columns: 'true' }
/** Where a database that is not in UTF-8 has names that cannot be shown: those of ASCII can. */
const READABLE: Which = {
  schema: isPlain('n.nspname::text'),
  table: isPlain('c.relname::text'),
  columns: isPlain(`(select string_agg(a.attname::text, '') from pg_attribute a where a.attrelid = c.oid)`),
}

function withoutUnreadable<T>(again: () => Promise<T>): (error: unknown) => Promise<T> {
  return (error) => {
    if (!isUnreadable(error)) throw error
    return again()
  }
}

async function refuseUnknown(client: DbReader, schemas: string[], which: Which): Promise<void> {
  if (schemas.length === 0) return
  const rows = await client.query<{ name: string }>(
    `select n.nspname::text as name from pg_namespace n where ${USER_SCHEMA} and ${which.schema} order by 1`,
  )
  const known = rows.map((row) => row.name)
  const unknown = schemas.flatMap((name, index) => (known.includes(name) ? [] : [{ name, index }]))
  if (unknown.length === 0) return
  throw new ConfigError(
    unknown.map(({ name, index }) => ({
      file: '',
      line: 0,
      column: 0,
      path: `target_config.schemas[${index}]`,
      message: `there is no schema ${JSON.stringify(name)} in the database; there is ${known.join(', ')}`,
    })),
    'CONFIG_NOT_ON_TARGET',
  )
}

async function tables(client: DbReader, schemas: string[], which: Which): Promise<Resource[]> {
  // Sizes are the planner's estimates: asking for exact ones would wait behind somebody's ACCESS EXCLUSIVE lock.
  const rows = await client.query<{
    id: string
    schema: string
    name: string
    columns: string | null
    rows: string
    bytes: string
  }>(
    `select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id, n.nspname::text as schema, c.relname::text as name,
            case when c.relname ~* $2 and ${which.columns} then (select json_agg(a.attname) from pg_attribute a
               where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) end::text as columns,
            greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid))::text as rows,
            ((c.relpages + coalesce(t.relpages, 0))::bigint * current_setting('block_size')::bigint)::text as bytes
       from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_class t on t.oid = c.reltoastrelid
      where c.relkind in ('r', 'p') and c.relpersistence <> 't' and ${USER_SCHEMA} and ${which.schema} and ${which.table}
        and (cardinality($1::text[]) = 0 or n.nspname = any($1::text[]))
      order by n.nspname, c.relname`,
    [schemas, SUSPICIOUS],
  )
  return rows.map(({ id, schema, name, columns, rows, bytes }) => {
    const aside = bookkeeping(schema, name, columns === null ? [] : (JSON.parse(columns) as string[]))
    const detail = Number(bytes) > 0 ? `${count(rows, 'row')}, ${size(bytes)}` : count(rows, 'row')
    return { id, name, kind: 'table', detail, ...(aside === undefined ? {} : { aside }) }
  })
}

async function summary(client: DbReader): Promise<string> {
  const [row] = await client.query<{
    version: string
    database: string
    bytes: string | null
    sessions: string
    replica: string
    role: string | null
  }>(
    `select (select r.rolname from pg_roles r where r.rolname = session_user and r.rolsuper)::text as role, pg_is_in_recovery()::text as replica, current_setting('server_version') as version, current_database()::text as database,
            case when has_database_privilege(current_database(), 'CONNECT') then pg_database_size(current_database()) end::text as bytes,
            (select count(*) from pg_stat_activity a where a.datname = current_database()
                and a.pid <> pg_backend_pid() and not starts_with(a.application_name, 'chaos-')
                and coalesce(a.backend_type, 'client backend') = 'client backend')::text as sessions`,
  )
  if (!row) throw new TargetError('TARGET_FAILED', 'the database does not say what it is')
  const bytes = row.bytes === null ? '' : ` (${size(row.bytes)})`
  const logins = await loginTriggers(client)
  const replica = row.replica === 'true' ? ', a read replica' : ''
  // What owners of tables have written into them runs with the rights of whoever touches rows.
  const role =
    row.role === null ? '' : `; our role ${row.role} is a superuser: give skills that touch rows one of their own`
  return `PostgreSQL ${row.version}${replica}, database ${row.database}${bytes}, ${count(row.sessions, 'other session')}${logins}${role}`
}

/** Triggers that each connection of ours fires: what they write down stays. */
async function loginTriggers(client: DbReader): Promise<string> {
  const rows = await client.query<{ name: string }>(
    `select quote_ident(left(t.evtname, 60)) as name from pg_event_trigger t
      where t.evtevent = 'login' and t.evtenabled in ('O', 'A') order by t.evtname limit 5`,
  )
  if (rows.length === 0) return ''
  const names = rows.map(({ name }) => name).join(', ')
  return rows.length === 1
    ? `; event trigger ${names} fires at each login, ours too`
    : `; event triggers ${names} fire at each login, ours too`
}

function count(n: string, what: string): string {
  return `${Number(n).toLocaleString('en-US')} ${what}${n === '1' ? '' : 's'}`
}

function size(bytes: string): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, Number(bytes))) / 10))
  return `${Number((Number(bytes) / 1024 ** step).toPrecision(2)).toLocaleString('en-US')} ${units[step] ?? 'B'}`
}
