/** Settings of a running PostgreSQL: what they are, who may change them, and when a change has reached new sessions. */
import type { Clock } from '../../../../core/clock.ts'
import { CodedError, TargetError } from '../../../../core/errors.ts'
import { until } from '../../../../core/until.ts'
import type { DbClient, DbReader } from '../../client.ts'
import { readValue } from './rules.ts'
import type { Setting } from './rules.ts'
import { grantLine, quoteIdent, sqlState } from '../sql.ts'

type Query = Pick<DbReader, 'query'>

/** How long the server may take to load its files again. */
const RELOAD_MS = 10_000

/** Every setting we may see, by name in lower case. */
export async function readSettings(db: Pick<DbReader, 'query' | 'serverVersion'>): Promise<Map<string, Setting>> {
  const flags = db.serverVersion < 150_000 ? 'null::text[]' : 'pg_catalog.pg_settings_get_flags(name)'
  const rows = await db.query<Record<keyof Setting, string>>(
    `select name, setting, unit, context, category, vartype, source, min_val, max_val, boot_val,
            array_to_json(coalesce(enumvals, '{}'))::text as enumvals,
            array_to_json(coalesce(${flags}, '{}'))::text as flags from pg_catalog.pg_settings`,
  )
  const list = (text: string): string[] => JSON.parse(text) as string[]
  return new Map(
    rows.map((row) => [row.name.toLowerCase(), { ...row, enumvals: list(row.enumvals), flags: list(row.flags) }]),
  )
}

/** Undefined for a setting that the server does not have, or does not show us. */
export async function vartypeOf(db: Query, name: string): Promise<string | undefined> {
  const [row] = await db.query<{ vartype: string }>(
    'select vartype from pg_catalog.pg_settings where lower(name) = lower($1)',
    [name],
  )
  return row?.vartype
}

/** Whether a connection of ours has its own value, which hides the server's. */
export function isPinned({ source }: Pick<Setting, 'source'>): boolean {
  return source === 'client' || source === 'session'
}

/** The last value each name has in the configuration files, as written there; names in lower case. */
export async function readFiles(db: Query, settings: ReadonlyMap<string, Setting>): Promise<Map<string, string>> {
  const rows = await db.query<{ name: string | null; setting: string | null; error: string | null }>(
    'select name, setting, error from pg_catalog.pg_file_settings order by seqno',
  )
  // A name that no server knows keeps all of the files from being loaded; a dot makes it an extension's.
  const unknown = (name: string): boolean => !name.includes('.') && !settings.has(name.toLowerCase())
  const broken = rows.find((row) => row.name === null || (row.error !== null && unknown(row.name)))
  if (broken) {
    throw new TargetError(
      'TARGET_FAILED',
      `the server cannot load its configuration files (${broken.name ?? ''} ${broken.error ?? 'see pg_file_settings'}): repair them first`,
    )
  }
  return new Map(rows.map((row) => [(row.name ?? '').toLowerCase(), row.setting ?? '']))
}

/** Throws TARGET_PRIVILEGE with the GRANT lines that let us change and put back lines of these names. */
export async function requirePrivileges(db: DbReader, names: readonly string[]): Promise<void> {
  const [may] = await db.query(
    `select has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE')::text as reload,
            (has_table_privilege('pg_catalog.pg_file_settings', 'SELECT')
              and has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE'))::text as files,
            current_setting('is_superuser') as superuser, current_setting('allow_alter_system', true) as allowed`,
  )
  if (may?.['allowed'] === 'off') {
    throw new TargetError('TARGET_PRIVILEGE', 'the server does not allow ALTER SYSTEM (allow_alter_system is off)')
  }
  if (may?.['superuser'] === 'on') return
  if (db.serverVersion < 150_000) {
    throw new TargetError(
      'TARGET_PRIVILEGE',
      `before PostgreSQL 15 only a superuser may use ALTER SYSTEM, and ${db.role} is none`,
    )
  }
  const denied = await db.query<{ name: string }>(
    `select n as name from unnest($1::text[]) with ordinality u(n, i)
      where not has_parameter_privilege(n, 'ALTER SYSTEM') order by i`,
    [names],
  )
  const grants = denied.map(({ name }) =>
    grantLine('ALTER SYSTEM', `PARAMETER ${name.split('.').map(quoteIdent).join('.')}`, db.role),
  )
  if (may?.['reload'] !== 'true') {
    grants.push(grantLine('EXECUTE', 'FUNCTION pg_catalog.pg_reload_conf()', db.role))
  }
  if (may?.['files'] !== 'true') {
    grants.push(grantLine('SELECT', 'pg_catalog.pg_file_settings', db.role))
    grants.push(grantLine('EXECUTE', 'FUNCTION pg_catalog.pg_show_all_file_settings()', db.role))
  }
  if (grants.length > 0) {
    const fix = grants.join('\n')
    throw new TargetError('TARGET_PRIVILEGE', `${db.role} may not change these settings:\n${fix}`, { fix })
  }
}

/** Whose own value (ALTER ROLE, ALTER DATABASE) stands before the server's: in words, and whether that is us. */
export async function overridesOf(db: Query, name: string): Promise<{ who: string; ours: boolean }[]> {
  const rows = await db.query<{ who: string; ours: string }>(
    `select concat_ws(' in ', case when s.setrole <> 0 then 'role ' || quote_ident(r.rolname) end,
                              case when s.setdatabase <> 0 then 'database ' || quote_ident(d.datname) end,
                              case when s.setrole = 0 and s.setdatabase = 0 then 'all roles' end) as who,
            (s.setrole in (0, (select oid from pg_catalog.pg_roles where rolname = session_user))
              and coalesce(d.datname = current_database(), true))::text as ours
       from pg_catalog.pg_db_role_setting s
       left join pg_catalog.pg_roles r on r.oid = s.setrole left join pg_catalog.pg_database d on d.oid = s.setdatabase
      where exists (select from unnest(s.setconfig) c where lower(split_part(c, '=', 1)) = lower($1)) order by 1`,
    [name],
  )
  return rows.map(({ who, ours }) => ({ who, ours: ours === 'true' }))
}

/** Names whose files say something else than what runs: edits that nobody has loaded yet, and that our reload will. */
export function unloaded(settings: ReadonlyMap<string, Setting>, files: ReadonlyMap<string, string>): string[] {
  return [...settings.values()].flatMap((setting) => {
    // Of text the server may keep another form than the one that was written.
    if (setting.vartype === 'string' || !['configuration file', 'default'].includes(setting.source)) return []
    if (setting.context === 'postmaster' || setting.context === 'internal') return []
    const written = files.get(setting.name.toLowerCase())
    if (written === undefined) return setting.source === 'configuration file' ? [setting.name] : []
    const read = readValue(setting, written)
    return 'value' in read && Number(read.value) !== Number(setting.setting) && read.value !== setting.setting
      ? [setting.name]
      : []
  })
}

/** Settings that would hit the very statement that tries them. */
const NOT_TRIED = ['transaction_timeout', 'statement_timeout', 'lock_timeout', 'max_stack_depth']

/**
 * Lets the server itself read a value, for one statement. Gives its own form of it, undefined where it cannot be tried
 * (only a reload may change it, or we may not), or what the server says against it.
 */
export async function tryValue(
  db: Query,
  { name, context }: Setting,
  text: string,
): Promise<{ value: string } | { problem: string } | undefined> {
  if ((context !== 'user' && context !== 'superuser') || NOT_TRIED.includes(name)) return undefined
  try {
    // "offset 0" keeps the server from looking before it has set.
    const [row] = await db.query<{ value: string }>(
      `select (select setting from pg_catalog.pg_settings where name = $1 and tried is not null) as value
         from (select set_config($1, $2, true) as tried offset 0) t`,
      [name, text],
    )
    return row
  } catch (error) {
    // Invalid value, unknown object: everything else says nothing about the value.
    const { code, message, detail, hint } = error as { code?: string; message: string; detail?: string; hint?: string }
    if (code === undefined || !['22023', '42704', '22P02', '3F000'].includes(code)) return undefined
    return { problem: [message, detail, hint].filter((part) => part !== undefined).join('; ') }
  }
}

/**
 * Makes the server load its files again, and waits until it has: a session of its own learns of it after the process that
 * starts new sessions. Throws TARGET_FAILED when it does not in time.
 */
export async function reload(db: Query, clock: Clock, signal: AbortSignal): Promise<void> {
  const loaded = async (): Promise<string | null | undefined> =>
    (await db.query('select pg_catalog.pg_conf_load_time()::text as at'))[0]?.['at']
  const before = await loaded()
  await db.query('select pg_catalog.pg_reload_conf()')
  const isLoaded = async (): Promise<boolean> => (await loaded()) !== before
  if (await until(isLoaded, { clock, ms: RELOAD_MS, signal, pauses: [5, 250] })) return
  throw new TargetError(
    'TARGET_FAILED',
    `the server has not loaded its configuration within ${RELOAD_MS / 1000} s; look for errors in pg_file_settings and in its log`,
  )
}

/** What a new client gets; `ended` when the setting itself ended the session before it could say. */
export type Seen = { setting: string; source: string } | 'ended'

/** Errors of a session that a timeout setting has hit: nothing else limits the sessions that look. */
const HIT = ['57014', '25P03', '25P04', '57P05', '55P03']
const TOO_MANY = ['53300', '53400']

/** The value of one setting in a new session that does not pin it. Where no session is free, what our own one has. */
export async function seenByNewClient(
  client: DbClient,
  mark: string,
  name: string,
  signal: AbortSignal,
): Promise<Seen | undefined> {
  const read = `select setting, source from pg_catalog.pg_settings
    where pg_catalog.lower(name) operator(pg_catalog.=) pg_catalog.lower($1::pg_catalog.text)`
  try {
    const session = await client.session(mark, signal, { unpinned: [name] })
    try {
      return (await session.query<{ setting: string; source: string }>(read, [name]))[0]
    } finally {
      await session.close()
    }
  } catch (error) {
    signal.throwIfAborted()
    const code = sqlState(error)
    if (code !== undefined && HIT.includes(code)) return 'ended'
    if (code === undefined && isLoss(error)) {
      // A reset of the connection can overtake what the server said of its end. It does answer: so it ended that session alone.
      await client.query('select 1').catch(() => Promise.reject(error as Error))
      return 'ended'
    }
    if (code === undefined || !TOO_MANY.includes(code)) throw error
    return (await client.query<{ setting: string; source: string }>(read, [name])).find((s) => !isPinned(s))
  }
}

/** Whether an error without a word of the server is the end of a connection, and not a refusal of ours. */
function isLoss(error: unknown): boolean {
  return !(error instanceof CodedError) || error.code === 'TARGET_UNREACHABLE'
}
