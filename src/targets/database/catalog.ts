/** Everything the row skills must know about tables before they write to them, read from the catalog in four queries. */
import { StaleError } from '../../core/errors.ts'
import type { DbReader } from './client.ts'
import { quoteIdent, quoteTable, sqlState } from './sql.ts'
import type { TableRef } from './tables.ts'

/** Something that answers queries: the plan's reader, the control connection, a session, a transaction. */
export type Queries = Pick<DbReader, 'query'>

/** A type as values of it are written; domains are resolved to what they are made of, arrays to their elements. */
export interface ValueType {
  /** PostgreSQL's internal name of the base type: `int4`, `varchar`, `timestamptz`, an enum's own name. */
  name: string
  /** Length, precision and scale as PostgreSQL packs them; -1 for none. */
  typmod: number
  /** Of an enum, in order. */
  labels?: string[] | undefined
  array?: boolean | undefined
}

export interface Column {
  name: string
  /** Castable: `character varying(20)`, `public.mood`. */
  type: string
  /** What a domain is made of, castable; same as `type` when it is none. */
  baseType: string
  value: ValueType
  notNull: boolean
  hasDefault: boolean
  /** Its value comes from a sequence or an identity. */
  sequence: boolean
  /** The sequence behind it, quoted, when its numbers only rise and we may draw one. */
  counter: string | null
  /** The sequence behind a default that we may not use, quoted; the GRANT line names it. */
  deniedSequence: string | null
  generated: boolean
  /** The expression and the columns of a generated column. */
  expression: string | null
  uses: string[]
  /** Domain CHECKs over `value`. */
  domainChecks: string[]
  mayInsert: boolean
  mayUpdate: boolean
}

export interface Index {
  unique: boolean
  primary: boolean
  exclusion: boolean
  /** False for deferrable constraints: those cannot decide a conflict. */
  immediate: boolean
  /** Covers every row, and stands on plain columns: it can name rows. */
  total: boolean
  columns: string[]
  /** Every column it depends on, those of expressions and predicates too. */
  uses: string[]
  /** The equality operator of each column, schema-qualified: `OPERATOR(pg_catalog.=)`. */
  equality: string[]
}

export interface ForeignKey {
  name: string
  /** The table that holds the reference, and its columns. */
  from: TableRef
  columns: string[]
  /** The table referred to, and its columns. */
  to: TableRef
  refs: string[]
  /** `to.ref <operator> from.column`, one for each column. */
  equality: string[]
  /** Planner's estimates of the rows of both tables, and whether an index serves the look-up of referring rows. */
  fromRows: number
  toRows: number
  fromIndexed: boolean
  /** Whether we may read both tables, and see all rows of the referring one. */
  mayReadFrom: boolean
  mayReadTo: boolean
  fromHidden: boolean
}

export interface Check {
  name: string
  columns: string[]
  /** SQL over the table's columns. */
  expression: string
}

export interface Table extends TableRef {
  oid: string
  /** Planner's estimate. */
  rows: number
  /** Changes when anything does that a write of ours depends on. */
  shape: string
  partitioned: boolean
  /** A partition, or part of an inheritance tree. */
  inherits: boolean
  triggers: string[]
  rules: string[]
  rowSecurity: boolean
  extension: string | null
  /** Published for replication without a way to name rows: updates and deletes fail. */
  unreplicable: boolean
  /** Missing of USAGE (on the schema), SELECT, INSERT, UPDATE, DELETE. */
  denied: ReadonlySet<string>
  columns: Column[]
  indexes: Index[]
  /** Foreign keys of this table, and those of others (or itself) that refer to it. */
  references: ForeignKey[]
  referencedBy: ForeignKey[]
  checks: Check[]
}

/** The tables as they are now, by id; those that are gone are left out. */
export async function loadCatalog(reader: Queries, tables: readonly TableRef[]): Promise<Map<string, Table>> {
  const rows = await reader.query<{ oid: string; facts: string }>(TABLES, [
    tables.map((t) => t.schema),
    tables.map((t) => t.table),
  ])
  const oids = rows.map((row) => row.oid)
  const types = await loadTypes(reader, oids)
  const columns = await loadColumns(reader, oids, types)
  const keys = await loadForeignKeys(reader, oids)
  const found = rows.map(({ oid, facts }): Table => {
    const parsed = JSON.parse(facts) as TableFacts
    return {
      ...parsed,
      oid,
      denied: new Set(parsed.denied),
      columns: columns.get(oid) ?? [],
      references: keys.filter((k) => k.fromOid === oid).map((k) => k.key),
      referencedBy: keys.filter((k) => k.toOid === oid).map((k) => k.key),
    }
  })
  return new Map(found.map((table) => [table.id, table]))
}

/** Foreign keys that refer to a table now, for the undo: some may be newer than the plan. */
export async function loadReferencing(reader: Queries, table: TableRef): Promise<ForeignKey[]> {
  const rows = await reader.query<{ key: string }>(
    `${FOREIGN_KEYS} and k.confrelid = (select c.oid from pg_class c where c.relnamespace =
       (select n.oid from pg_namespace n where n.nspname = $1) and c.relname = $2) order by k.oid`,
    [table.schema, table.table],
  )
  return rows.map((row) => JSON.parse(row.key) as ForeignKey)
}

/** Where a table is now: by its oid (it may have been renamed), else by name (it may have been made anew). Undefined: gone. */
export async function locateTable(
  reader: Queries,
  table: Pick<Table, 'oid' | 'schema' | 'table'>,
): Promise<TableRef | undefined> {
  const [row] = await reader.query<{ id: string; schema: string; name: string }>(
    `select quote_ident(n.nspname) || '.' || quote_ident(c.relname) as id, n.nspname::text as schema, c.relname::text as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and (c.oid = $1::oid or (n.nspname = $2 and c.relname = $3))
      order by c.oid = $1::oid desc limit 1`,
    [table.oid, table.schema, table.table],
  )
  return row && { id: row.id, schema: row.schema, table: row.name }
}

/**
 * Locks a table against changes of its definition until COMMIT, by a statement that we have the privilege for and that
 * changes nothing (LOCK TABLE asks for more). Throws StaleError when the table is not as it was planned for.
 */
export async function lockAsPlanned(
  on: Queries,
  table: Pick<Table, 'id' | 'schema' | 'table' | 'shape'>,
  by: { delete: true } | { update: string },
): Promise<void> {
  const name = quoteTable(table)
  const column = 'update' in by ? quoteIdent(by.update) : undefined
  try {
    await on.query(
      column === undefined ? `delete from ${name} where false` : `update ${name} set ${column} = ${column} where false`,
    )
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

type TableFacts = Omit<Table, 'oid' | 'denied' | 'columns' | 'references' | 'referencedBy'> & { denied: string[] }

const SHAPE = `md5(concat_ws('|', c.oid, c.relrowsecurity, c.relispartition, c.relhassubclass,
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
  'total', i.indpred is null and i.indexprs is null and i.indisvalid,
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
  'rows', greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0), 'shape', ${SHAPE},
  'partitioned', c.relkind = 'p',
  'inherits', c.relispartition or exists (select from pg_inherits h where h.inhrelid = c.oid or (h.inhparent = c.oid and c.relkind = 'r')),
  'triggers', coalesce((select json_agg(t.tgname order by t.tgname) from pg_trigger t
     where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')), '[]'),
  'rules', coalesce((select json_agg(r.rulename order by r.rulename) from pg_rewrite r where r.ev_class = c.oid and r.ev_enabled <> 'D'), '[]'),
  'rowSecurity', row_security_active(c.oid),
  'extension', (select e.extname from pg_depend d join pg_extension e on e.oid = d.refobjid
     where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' limit 1),
  'unreplicable', (c.relreplident = 'n' or (c.relreplident = 'd' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)))
     and exists (select from pg_publication_tables p where p.schemaname = n.nspname and p.tablename = c.relname),
  'denied', (select coalesce(json_agg(p.name order by p.ord), '[]') from (values
       (1, 'USAGE', has_schema_privilege(n.oid, 'USAGE')),
       (2, 'SELECT', has_table_privilege(c.oid, 'SELECT')),
       (3, 'INSERT', has_any_column_privilege(c.oid, 'INSERT')),
       (4, 'UPDATE', has_any_column_privilege(c.oid, 'UPDATE')),
       (5, 'DELETE', has_table_privilege(c.oid, 'DELETE'))) p(ord, name, ok) where not p.ok),
  'indexes', coalesce((select json_agg(${INDEX} order by i.indisprimary desc, i.indexrelid) from pg_index i where i.indrelid = c.oid), '[]'),
  'checks', coalesce((select json_agg(json_build_object('name', k.conname, 'columns', ${names('k.conkey', 'k.conrelid')},
       'expression', pg_get_expr(k.conbin, k.conrelid)) order by k.conname)
     from pg_constraint k where k.conrelid = c.oid and k.contype = 'c'), '[]'))::text as facts
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))`

const FOREIGN_KEYS = `
select k.conrelid::text as "from", k.confrelid::text as "to", json_build_object(
  'name', k.conname, 'from', ${ref('k.conrelid')}, 'columns', ${names('k.conkey', 'k.conrelid')},
  'to', ${ref('k.confrelid')}, 'refs', ${names('k.confkey', 'k.confrelid')},
  'equality', (select json_agg(format('OPERATOR(%I.%s)', opn.nspname, o.oprname) order by x.ord)
     from unnest(k.conpfeqop) with ordinality x(op, ord) join pg_operator o on o.oid = x.op join pg_namespace opn on opn.oid = o.oprnamespace),
  'fromRows', ${estimate('k.conrelid')}, 'toRows', ${estimate('k.confrelid')},
  'fromIndexed', exists (select from pg_index i where i.indrelid = k.conrelid and i.indisvalid and i.indpred is null and i.indkey[0] = any(k.conkey)),
  'mayReadFrom', ${mayRead('k.conrelid')}, 'mayReadTo', ${mayRead('k.confrelid')},
  'fromHidden', row_security_active(k.conrelid))::text as key
  from pg_constraint k where k.contype = 'f' and k.conparentid = 0`

function estimate(relation: string): string {
  return `(select greatest(f.reltuples, pg_stat_get_live_tuples(f.oid), 0) from pg_class f where f.oid = ${relation})`
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
    `${FOREIGN_KEYS} and (k.conrelid = any($1::oid[]) or k.confrelid = any($1::oid[])) order by k.oid`,
    [oids],
  )
  return rows.map(({ from, to, key }) => ({ fromOid: from, toOid: to, key: JSON.parse(key) as ForeignKey }))
}

interface TypeFacts {
  oid: string
  name: string
  kind: string
  base: string
  baseType: string
  typmod: number
  element: string
  category: string
  notNull: boolean
  labels: string[] | null
  checks: string[]
}

async function loadTypes(reader: Queries, oids: string[]): Promise<Map<string, TypeFacts>> {
  const rows = await reader.query<{ facts: string }>(
    `with recursive need as (
       select distinct a.atttypid as oid from pg_attribute a
        where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
       union
       select x.oid from need join pg_type t on t.oid = need.oid cross join lateral (values (t.typbasetype), (t.typelem)) x(oid)
        where x.oid <> 0 and (t.typtype = 'd' or t.typcategory = 'A'))
     select json_build_object('oid', t.oid::text, 'kind', t.typtype,
              -- Whatever else is called int4 is none; citext behaves like text wherever it was installed.
              'name', case when n.nspname = 'pg_catalog' or t.typname = 'citext' then t.typname else n.nspname || '.' || t.typname end, 'base', t.typbasetype::text,
              'baseType', format_type(t.typbasetype, t.typtypmod), 'typmod', t.typtypmod, 'element', t.typelem::text,
              'category', t.typcategory, 'notNull', t.typnotnull,
              'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
              'checks', coalesce((select json_agg(pg_get_expr(k.conbin, 0) order by k.oid) from pg_constraint k
                 where k.contypid = t.oid and k.contype = 'c'), '[]'))::text as facts
       from need join pg_type t on t.oid = need.oid join pg_namespace n on n.oid = t.typnamespace`,
    [oids],
  )
  return new Map(rows.map((row) => JSON.parse(row.facts) as TypeFacts).map((facts) => [facts.oid, facts]))
}

type ColumnFacts = Omit<Column, 'value' | 'baseType' | 'domainChecks'> & { typeOid: string; typmod: number }

async function loadColumns(
  reader: Queries,
  oids: string[],
  types: ReadonlyMap<string, TypeFacts>,
): Promise<Map<string, Column[]>> {
  const rows = await reader.query<{ oid: string; facts: string }>(
    `select a.attrelid::text as oid, json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
              'typeOid', a.atttypid::text, 'typmod', a.atttypmod, 'notNull', a.attnotnull,
              'hasDefault', a.atthasdef and a.attgenerated = '',
              'sequence', a.attidentity <> '' or (s.oid is not null and pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\('),
              'counter', (select quote_ident(n.nspname) || '.' || quote_ident(c.relname) from pg_sequence q
                 join pg_class c on c.oid = q.seqrelid join pg_namespace n on n.oid = c.relnamespace
                 where q.seqincrement > 0 and not q.seqcycle and has_schema_privilege(n.oid, 'USAGE') and has_sequence_privilege(c.oid, 'USAGE')
                   and q.seqrelid = coalesce(s.oid, case when a.attidentity <> '' then
                     pg_get_serial_sequence((select quote_ident(tn.nspname) || '.' || quote_ident(tc.relname) from pg_class tc
                       join pg_namespace tn on tn.oid = tc.relnamespace where tc.oid = a.attrelid), a.attname)::regclass end)),
              'deniedSequence', case when s.oid is not null and not has_sequence_privilege(s.oid, 'USAGE')
                 then (select quote_ident(n.nspname) || '.' || quote_ident(s.relname) from pg_namespace n where n.oid = s.relnamespace) end,
              'generated', a.attgenerated <> '',
              'expression', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
              'uses', coalesce((select json_agg(distinct u.attname) from pg_depend x join pg_attribute u on u.attrelid = x.refobjid and u.attnum = x.refobjsubid
                 where a.attgenerated <> '' and x.refclassid = 'pg_class'::regclass and x.refobjid = a.attrelid and u.attnum <> a.attnum
                   and ((x.classid = 'pg_attrdef'::regclass and x.objid = d.oid)
                     or (x.classid = 'pg_class'::regclass and x.objid = a.attrelid and x.objsubid = a.attnum))), '[]'),
              'mayInsert', has_column_privilege(a.attrelid, a.attnum, 'INSERT'),
              'mayUpdate', has_column_privilege(a.attrelid, a.attnum, 'UPDATE'))::text as facts
       from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
       left join lateral (select sc.oid, sc.relname, sc.relnamespace from pg_depend x join pg_class sc on sc.oid = x.refobjid and sc.relkind = 'S'
          where x.classid = 'pg_attrdef'::regclass and x.objid = d.oid and x.refclassid = 'pg_class'::regclass limit 1) s on true
      where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum`,
    [oids],
  )
  const columns = new Map<string, Column[]>()
  for (const { oid, facts } of rows) {
    const { typeOid, typmod, ...column } = JSON.parse(facts) as ColumnFacts
    const type = resolveType(typeOid, typmod, types)
    const resolved = {
      ...column,
      notNull: column.notNull || type.notNull,
      baseType: type.baseType ?? column.type,
      value: type.value,
      domainChecks: type.checks,
    }
    columns.set(oid, [...(columns.get(oid) ?? []), resolved])
  }
  return columns
}

interface Resolved {
  value: ValueType
  /** Only of domains. */
  baseType?: string
  notNull: boolean
  checks: string[]
}

function resolveType(oid: string, typmod: number, types: ReadonlyMap<string, TypeFacts>): Resolved {
  const type = types.get(oid)
  if (!type) return { value: { name: 'unknown', typmod: -1 }, notNull: false, checks: [] }
  if (type.kind === 'd') {
    const base = resolveType(type.base, type.typmod, types)
    return {
      value: base.value,
      baseType: base.baseType ?? type.baseType,
      notNull: type.notNull || base.notNull,
      checks: [...type.checks, ...base.checks],
    }
  }
  if (type.category === 'A' && type.element !== '0') {
    const element = resolveType(type.element, typmod, types)
    // Elements that are arrays or checked domains are not worth the trouble: nobody generates such a value.
    if (element.value.array || element.checks.length > 0) {
      return { value: { name: type.name, typmod }, notNull: false, checks: [] }
    }
    return { value: { ...element.value, array: true }, notNull: false, checks: [] }
  }
  return {
    value: { name: type.name, typmod, ...(type.labels ? { labels: type.labels } : {}) },
    notNull: false,
    checks: [],
  }
}
