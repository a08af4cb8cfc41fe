/** Everything of a PostgreSQL database and server that is not rows, as a list of names and texts. */
import type pg from 'pg'
import { messageOf } from '../../src/core/errors.ts'
import { LOCK_CLASS } from '../../src/targets/database/postgres/own-session.ts'

type Facts = Record<string, string>

/** How the name of a fact begins that stands for facts that could not be read; its text says why. */
export const UNREADABLE = 'unreadable: '

/** What the session itself sees before it sets anything. */
export async function readSettings(client: pg.Client): Promise<Facts> {
  return read(client, {
    setting: `select name,
      concat(setting, unit, ' from ', source, case when setting is distinct from reset_val then ', reset to ' || reset_val end,
        case when pending_restart then ', a restart is pending' end)
      from pg_settings where name not in ('application_name', 'transaction_deferrable', 'transaction_isolation', 'transaction_read_only')`,
  })
}

/** Inside a transaction. A kind that cannot be read is one fact that says so. */
export async function readFacts(client: pg.Client, sequences: boolean): Promise<Facts> {
  const facts: Facts = {}
  for (const [kind, sql] of Object.entries(sequences ? { ...QUERIES, ...SEQUENCES } : QUERIES)) {
    await client.query('savepoint facts')
    try {
      Object.assign(facts, await read(client, { [kind]: sql }))
    } catch (error) {
      await client.query('rollback to facts')
      facts[`${UNREADABLE}every ${kind}`] = messageOf(error)
    }
  }
  return facts
}

async function read(client: pg.Client, queries: Record<string, string>): Promise<Facts> {
  const facts: Facts = {}
  for (const [kind, text] of Object.entries(queries)) {
    const { rows } = await client.query<[string, string | null]>({ text, rowMode: 'array' })
    for (const [name, value] of rows) facts[`${kind} ${name}`] = value ?? ''
  }
  return facts
}

const USER_SCHEMA = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`
const CLASS = `pg_class c join pg_namespace n on n.oid = c.relnamespace`
const TABLE_NAME = `format('%I.%I', n.nspname, c.relname)`
const CHAOS = `application_name like 'chaos-%' and pid <> pg_backend_pid()`

/** Kind → a query of names (unique within the kind) and what is to be compared. */
const QUERIES = {
  schema: `select quote_ident(n.nspname), concat_ws(', ', 'owner ' || nspowner::regrole, nspacl::text) from pg_namespace n where ${USER_SCHEMA}`,
  extension: `select extname, extversion from pg_extension`,
  relation: `select ${TABLE_NAME}, concat_ws(', ', 'kind ' || c.relkind::text, 'persistence ' || c.relpersistence::text, 'owner ' || c.relowner::regrole,
      case when c.relrowsecurity then 'row security' end, case when c.relforcerowsecurity then 'forced' end,
      'replica identity ' || c.relreplident::text, array_to_string(c.reloptions, ' '), c.relacl::text, pg_get_expr(c.relpartbound, c.oid),
      (select string_agg(i.inhparent::regclass::text, ' ' order by i.inhseqno) from pg_inherits i where i.inhrelid = c.oid))
    from ${CLASS} where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_SCHEMA}`,
  column: `select format('%s.%I', ${TABLE_NAME}, a.attname), concat_ws(', ', format_type(a.atttypid, a.atttypmod),
      case when a.attnotnull then 'not null' end, 'default ' || pg_get_expr(d.adbin, d.adrelid),
      'identity ' || nullif(a.attidentity::text, ''), 'generated ' || nullif(a.attgenerated::text, ''), 'collation ' || nullif(a.attcollation, 0)::regcollation, a.attacl::text)
    from pg_attribute a join ${CLASS} on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f') and ${USER_SCHEMA}`,
  index: `select ${TABLE_NAME}, concat(pg_get_indexdef(c.oid), case when not i.indisvalid then ' (invalid)' end)
    from ${CLASS} join pg_index i on i.indexrelid = c.oid where ${USER_SCHEMA}`,
  constraint: `select concat(${TABLE_NAME}, '.', quote_ident(k.conname)), concat(pg_get_constraintdef(k.oid), case when not k.convalidated then ' (not validated)' end)
    from pg_constraint k join ${CLASS} on c.oid = k.conrelid where ${USER_SCHEMA}`,
  trigger: `select concat(${TABLE_NAME}, '.', quote_ident(t.tgname)), concat(pg_get_triggerdef(t.oid), ', enabled ', t.tgenabled)
    from pg_trigger t join ${CLASS} on c.oid = t.tgrelid where not t.tgisinternal and ${USER_SCHEMA}`,
  rule: `select concat(${TABLE_NAME}, '.', quote_ident(r.rulename)), concat(pg_get_ruledef(r.oid), ', enabled ', r.ev_enabled)
    from pg_rewrite r join ${CLASS} on c.oid = r.ev_class where ${USER_SCHEMA}`,
  policy: `select format('%I.%I.%I', schemaname, tablename, policyname), concat_ws(', ', permissive, roles::text, cmd, qual, with_check) from pg_policies`,
  'sequence definition': `select ${TABLE_NAME}, concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
    from pg_sequence s join ${CLASS} on c.oid = s.seqrelid where ${USER_SCHEMA}`,
  function: `select p.oid::regprocedure::text, concat(p.prokind, ' ', md5(concat_ws(' ', p.prosrc, p.probin, p.prosqlbody, p.proconfig, p.proacl, p.proowner, p.provolatile, p.prosecdef)))
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${USER_SCHEMA}`,
  type: `select t.oid::regtype::text, concat_ws(' ', t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod), t.typdefault,
      (select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
      (select string_agg(pg_get_constraintdef(k.oid), ',' order by k.conname) from pg_constraint k where k.contypid = t.oid))
    from pg_type t join pg_namespace n on n.oid = t.typnamespace where t.typtype in ('e', 'd', 'r') and ${USER_SCHEMA}`,
  'event trigger': `select evtname, concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags::text) from pg_event_trigger`,
  'large objects': `select 'of this database', count(*)::text from pg_largeobject_metadata`,
  role: `select quote_ident(rolname), concat_ws(', ', case when rolsuper then 'superuser' end, case when rolinherit then 'inherit' end,
      case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end, case when rolcanlogin then 'login' end,
      case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end,
      'connection limit ' || rolconnlimit, 'until ' || rolvaliduntil,
      (select 'member of ' || string_agg(m.roleid::regrole::text, ' ' order by m.roleid) from pg_auth_members m where m.member = r.oid))
    from pg_roles r where rolname !~ '^pg_'`,
  'settings of': `select concat_ws(' in ', coalesce(quote_ident(r.rolname), 'all roles'), quote_ident(d.datname)), array_to_string(setconfig, ', ')
    from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase`,
  database: `select quote_ident(datname), concat_ws(', ', 'owner ' || datdba::regrole, 'connection limit ' || datconnlimit,
      case when not datallowconn then 'no connections' end, case when datistemplate then 'template' end, datacl::text) from pg_database`,
  session: `select concat(application_name, ' (pid ', pid, ')'), concat_ws(' ', datname, usename, state) from pg_stat_activity where ${CHAOS}`,
  'relation lock': `select concat_ws(' ', application_name, 'pid', pid, coalesce(c.oid::regclass::text, l.relation::text), l.mode), case when l.granted then 'held' else 'waited for' end
    from pg_locks l join pg_stat_activity using (pid) left join pg_class c on c.oid = l.relation where l.locktype = 'relation' and ${CHAOS}`,
  // Not those that show which sessions are ours: the sessions are here themselves.
  'advisory lock': `select concat_ws('/', l.database, l.classid, l.objid, l.objsubid, l.mode, 'pid ' || l.pid), concat_ws(' ', case when l.granted then 'held' else 'waited for' end, 'by', nullif(application_name, ''))
    from pg_locks l left join pg_stat_activity using (pid) where l.locktype = 'advisory' and l.pid is distinct from pg_backend_pid() and not (l.classid = ${LOCK_CLASS} and l.objsubid = 2)`,
  'prepared transaction': `select gid, concat_ws(' ', owner, database) from pg_prepared_xacts`,
  'temporary table': `select ${TABLE_NAME}, 'kind ' || c.relkind::text from ${CLASS} where c.relpersistence = 't' and c.relkind in ('r', 'p')`,
  publication: `select quote_ident(pubname), concat_ws(', ', case when puballtables then 'all tables' end,
      concat('insert ', pubinsert, ' update ', pubupdate, ' delete ', pubdelete, ' truncate ', pubtruncate),
      (select string_agg(format('%I.%I', schemaname, tablename), ' ' order by schemaname, tablename) from pg_publication_tables t where t.pubname = p.pubname))
    from pg_publication p`,
  'replication slot': `select slot_name, concat_ws(' ', slot_type, plugin, database) from pg_replication_slots`,
}

const SEQUENCES = {
  sequence: `select format('%I.%I', schemaname, sequencename), coalesce('last ' || last_value, 'not called') from pg_sequences`,
}
