/** Everything the row skills must know about tables before they write to them, read from the catalog in four queries. */
import type { Queries } from '../../client.ts'
import { StaleError } from '../../../../core/errors.ts'
import { loadColumns } from './columns.ts'
import { foreignCode } from './foreign-code.ts'
import { finder } from '../finder.ts'
import type { Key, Keys } from '../../rows/keys.ts'
import { lockDefinition } from './own-code.ts'
import { quoteTable, sqlState } from '../sql.ts'
import type { ForeignKey, Table } from '../../rows/facts.ts'
import { PARTITIONS, treeOf } from './partitions.ts'
import type { Located } from '../../rows/located.ts'
import type { TableRef } from '../../rows/table-ref.ts'
import { TRIGGERS } from './triggers.ts'

/** The tables as they are now, by id; those that are gone are left out. */
export async function loadCatalog(reader: Queries, tables: readonly TableRef[]): Promise<Map<string, Table>> {
  const rows = await reader.query<{ oid: string; facts: string }>(TABLES, [
    tables.map((t) => t.schema),
    tables.map((t) => t.table),
  ])
  const oids = rows.map((row) => row.oid)
  const columns = await loadColumns(reader, oids)
  const keys = await loadForeignKeys(reader, oids)
  const code = await foreignCode(reader, oids, 'write')
  const beside = await foreignCode(
    reader,
    keys.flatMap((k) => [k.fromOid, k.toOid]),
    'read',
  )
  const found = rows.map(({ oid, facts }): Table => {
    const parsed = JSON.parse(facts) as TableFacts
    return {
      ...parsed,
      oid,
      denied: new Set(parsed.denied),
      foreignCode: code.get(oid)?.table ?? null,
      foreignBeside:
        keys
          .filter((k) => k.fromOid === oid || k.toOid === oid)
          .flatMap((k) => [k.fromOid, k.toOid])
          .flatMap((other) => (other === oid ? [] : (beside.get(other)?.table ?? [])))[0] ?? null,
      columns: (columns.get(oid) ?? []).map((c) => ({
        ...c,
        foreignDefault: code.get(oid)?.defaults.get(c.name) ?? null,
      })),
      references: keys.filter((k) => k.fromOid === oid).map((k) => k.key),
      referencedBy: keys.filter((k) => k.toOid === oid).map((k) => k.key),
    }
  })
  return new Map(found.map((table) => [table.id, table]))
}

/** Foreign keys that refer to a table now, for the undo: some may be newer than the plan. */
export async function loadReferencing(reader: Queries, table: TableRef): Promise<ForeignKey[]> {
  const rows = await reader.query<{ key: string }>(
    `${FOREIGN_KEYS} and k.confrelid in ${treeOf(`(select c.oid from pg_class c where c.relnamespace =
       (select n.oid from pg_namespace n where n.nspname = $1) and c.relname = $2)`)} order by k.oid`,
    [table.schema, table.table],
  )
  return rows.map((row) => JSON.parse(row.key) as ForeignKey)
}

/**
 * Where a table is now: by its oid (it may have been renamed), by the oids of its partitions with our rows, where they are
 * detached, and by its name, where another one has that now (it may have been made anew, with our rows in it or without).
 * Empty: gone.
 */
export async function locateTables(
  reader: Queries,
  table: Pick<Table, 'oid' | 'schema' | 'table'> & { parts?: readonly string[] | undefined },
): Promise<Located[]> {
  const rows = await reader.query<Record<'id' | 'oid' | 'schema' | 'name' | 'same' | 'detached', string> & Filed>(
    `select c.oid::text as oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id, n.nspname::text as schema, c.relname::text as name,
            (c.oid = $1::oid)::text as same, (c.oid = any(d.oids))::text as detached, pg_relation_filenode(c.oid)::text as filenode
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       cross join (select array(select u.oid from unnest($4::oid[]) as u(oid) where u.oid not in ${treeOf('$1::oid')}) as oids) as d
      where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        and (c.oid = $1::oid or c.oid = any(d.oids) or (n.nspname = $2 and c.relname = $3))
      order by c.oid = $1::oid desc, c.oid = any(d.oids) desc`,
    [table.oid, table.schema, table.table, table.parts ?? []],
  )
  return rows.map(({ id, oid, schema, name, same, detached, filenode }) => ({
    ...{
      id,
      oid,
      schema,
      table: name,
      same: same === 'true' || detached === 'true',
      detached: detached === 'true',
      filenode,
    },
  }))
}

interface Filed extends Record<string, string | null> {
  filenode: string | null
}

/** The oids of the partitions that rows under these keys are in, so that those are found again that get detached. */
export async function partsWith(on: Queries, table: TableRef, key: Key, keys: Keys): Promise<string[]> {
  const { from, where, params } = finder(key, keys)
  const rows = await on.query<{ oid: string }>(
    `select distinct t.tableoid::text as oid from ${quoteTable(table)} as t, ${from} where ${where}`,
    params,
  )
  return rows.map(({ oid }) => oid)
}

/** Locks a table against changes of its definition until COMMIT. Throws StaleError when it is not as it was planned for. */
export async function lockAsPlanned(
  on: Queries,
  table: Pick<Table, 'id' | 'schema' | 'table' | 'shape'>,
  by: { delete: true } | { update: string },
): Promise<void> {
  try {
    await lockDefinition(on, table, 'update' in by ? by.update : undefined)
  } catch (error) {
    if (['42P01', '3F000', '42703'].includes(sqlState(error) ?? ''))
      throw new StaleError(`${table.id} is gone or was changed since the plan`)
    throw error
  }
  const [row] = await on.query<{ shape: string }>(
    `select ${SHAPE} as shape from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = $2`,
    [table.schema, table.table],
  )
  if (row?.shape !== table.shape) throw new StaleError(`${table.id} was changed since the plan`)
}

type TableFacts = Omit<
  Table,
  'oid' | 'denied' | 'columns' | 'references' | 'referencedBy' | 'foreignCode' | 'foreignBeside'
> & { denied: string[] }

const SHAPE = `md5(concat_ws('|', c.oid, c.relrowsecurity, c.relispartition, c.relhassubclass,
  case when c.relkind = 'p' then (select string_agg(concat_ws(',', pt.relid,
      (select string_agg(k.oid::text, ' ' order by k.oid) from pg_constraint k where k.conrelid = pt.relid or k.confrelid = pt.relid),
      (select string_agg(t.oid::text || t.tgenabled::text, ' ' order by t.oid) from pg_trigger t where t.tgrelid = pt.relid)), ';' order by pt.relid)
     from pg_partition_tree(c.oid) pt) end,
  (select string_agg(concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.atthasdef, a.attidentity, a.attgenerated), ';' order by a.attnum)
     from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
  (select string_agg(k.oid::text, ',' order by k.oid) from pg_constraint k where k.conrelid = c.oid or k.confrelid = c.oid),
  (select string_agg(i.indexrelid::text, ',' order by i.indexrelid) from pg_index i where i.indrelid = c.oid),
  (select string_agg(t.oid::text || t.tgenabled::text, ',' order by t.oid) from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal),
  (select string_agg(r.oid::text, ',' order by r.oid) from pg_rewrite r where r.ev_class = c.oid)))`

/** Names of a table's columns by number, in the order of the numbers given. */
function names(numbers: string, relation: string): string {
  return `coalesce((select json_agg(a.attname order by x.ord) from unnest(${numbers}) with ordinality x(num, ord)
    join pg_attribute a on a.attrelid = ${relation} and a.attnum = x.num), '[]')`
}

/** Reference to a table, as JSON. */
function ref(relation: string): string {
  return `(select json_build_object('id', quote_ident(rn.nspname) || '.' || quote_ident(rc.relname), 'schema', rn.nspname, 'table', rc.relname)
    from pg_class rc join pg_namespace rn on rn.oid = rc.relnamespace where rc.oid = ${relation})`
}

const INDEX = `json_build_object(
  'unique', i.indisunique, 'primary', i.indisprimary, 'exclusion', i.indisexclusion, 'immediate', i.indimmediate,
  'total', i.indpred is null and i.indexprs is null and i.indisvalid and i.indrelid = c.oid,
  'columns', ${names('(i.indkey::int2[])[0:i.indnkeyatts - 1]', 'i.indrelid')},
  'uses', coalesce((select json_agg(distinct a.attname) from pg_attribute a where a.attrelid = i.indrelid and a.attnum > 0
     and (a.attnum = any(i.indkey) or exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
        and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid = a.attnum))), '[]'),
  'equality', coalesce((select json_agg(format('OPERATOR(%I.%s)', opn.nspname, o.oprname) order by x.ord)
     from unnest(i.indclass::oid[]) with ordinality x(class, ord) join pg_opclass oc on oc.oid = x.class
     join pg_am on pg_am.oid = oc.opcmethod and pg_am.amname = 'btree'
     join pg_amop m on m.amopfamily = oc.opcfamily and m.amoplefttype = oc.opcintype and m.amoprighttype = oc.opcintype and m.amopstrategy = 3
     join pg_operator o on o.oid = m.amopopr join pg_namespace opn on opn.oid = o.oprnamespace), '[]'))`

const TABLES = `
select c.oid::text as oid, json_build_object(
  'id', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'schema', n.nspname, 'table', c.relname,
  'rows', ${estimate('c.oid')}, 'shape', ${SHAPE},
  'partitions', ${PARTITIONS},
  'partitionOf', case when c.relispartition then (select rn.id from (select pg_partition_root(c.oid) as oid) root
     cross join lateral (select quote_ident((select xn.nspname from pg_namespace xn where xn.oid = x.relnamespace)) || '.' || quote_ident(x.relname) as id from pg_class x where x.oid = root.oid) rn) end,
  'inherits', exists (select from pg_inherits h where (h.inhrelid = c.oid and not c.relispartition) or (h.inhparent = c.oid and c.relkind = 'r')),
  'triggers', ${TRIGGERS},
  'rules', coalesce((select json_agg(r.rulename order by r.rulename) from pg_rewrite r where r.ev_class = c.oid and r.ev_enabled <> 'D'), '[]'),
  'rowSecurity', row_security_active(c.oid),
  'extension', (select e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' limit 1),
  'unreplicable', exists (select from pg_class m join pg_namespace mn on mn.oid = m.relnamespace
     join pg_publication_tables p on p.schemaname = mn.nspname and p.tablename = m.relname
     where m.oid in ${treeOf('c.oid')} and (m.relreplident = 'n' or
       (m.relreplident = 'd' and not exists (select from pg_index i where i.indrelid = m.oid and i.indisprimary)))),
  'denied', (select coalesce(json_agg(p.name order by p.ord), '[]') from (values
       (1, 'USAGE', has_schema_privilege(n.oid, 'USAGE')),
       (2, 'SELECT', has_table_privilege(c.oid, 'SELECT')),
       (3, 'INSERT', has_any_column_privilege(c.oid, 'INSERT')),
       (4, 'UPDATE', has_any_column_privilege(c.oid, 'UPDATE')),
       (5, 'DELETE', has_table_privilege(c.oid, 'DELETE'))) p(ord, name, ok) where not p.ok),
  'indexes', coalesce((select json_agg(${INDEX} order by i.indrelid <> c.oid, i.indisprimary desc, i.indexrelid) from pg_index i
     where i.indrelid = c.oid or (i.indisunique and i.indrelid in ${treeOf('c.oid')}
       and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid))), '[]'),
  'checks', coalesce((select json_agg(json_build_object('name', k.conname, 'columns', ${names('k.conkey', 'k.conrelid')},
       'expression', pg_get_expr(k.conbin, k.conrelid)) order by k.conname)
     from pg_constraint k where k.conrelid = c.oid and k.contype = 'c'), '[]'))::text as facts
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`

const FOREIGN_KEYS = `
select ${rootOf('k.conrelid')}::text as "from", ${rootOf('k.confrelid')}::text as "to", json_build_object(
  'name', k.conname, 'from', ${ref('k.conrelid')}, 'columns', ${names('k.conkey', 'k.conrelid')},
  'to', ${ref('k.confrelid')}, 'refs', ${names('k.confkey', 'k.confrelid')},
  'equality', (select json_agg(format('OPERATOR(%I.%s)', opn.nspname, o.oprname) order by x.ord)
     from unnest(k.conpfeqop) with ordinality x(op, ord) join pg_operator o on o.oid = x.op join pg_namespace opn on opn.oid = o.oprnamespace),
  'fromRows', ${estimate('k.conrelid')}, 'toRows', ${estimate('k.confrelid')},
  'fromIndexed', exists (select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null and i.indkey[0] = any(k.conkey)),
  'mayReadFrom', ${mayRead('k.conrelid')}, 'mayReadTo', ${mayRead('k.confrelid')},
  'fromHidden', row_security_active(k.conrelid))::text as key
  from pg_constraint k where k.contype = 'f' and k.conparentid = 0`

/** What a partition does with foreign keys of its own, its partitioned table does too. */
function rootOf(relation: string): string {
  return `coalesce(pg_partition_root(${relation})::oid, ${relation})`
}

function estimate(relation: string): string {
  return `(select sum(greatest(f.reltuples, pg_stat_get_live_tuples(f.oid), 0)) from pg_class f where f.oid in ${treeOf(relation)} and f.relkind <> 'p')`
}

function mayRead(relation: string): string {
  return `(has_table_privilege(${relation}, 'SELECT') and
    (select has_schema_privilege(x.relnamespace, 'USAGE') from pg_class x where x.oid = ${relation}))`
}

async function loadForeignKeys(
  reader: Queries,
  oids: string[],
): Promise<{ fromOid: string; toOid: string; key: ForeignKey }[]> {
  const rows = await reader.query<{ from: string; to: string; key: string }>(
    `${FOREIGN_KEYS} and (${rootOf('k.conrelid')} = any($1::oid[]) or ${rootOf('k.confrelid')} = any($1::oid[])) order by k.oid`,
    [oids],
  )
  return rows.map(({ from, to, key }) => ({ fromOid: from, toOid: to, key: JSON.parse(key) as ForeignKey }))
}
