/** Columns of tables and their types, read from the catalog; domains are resolved to what they are made of. */
import type { Queries } from '../../client.ts'
import type { Column, ValueType } from '../../rows/facts.ts'
import { sizeOf } from '../type-size.ts'
import { formsOf } from '../../rows/values/value.ts'

/** The columns of tables, by the table's oid, in order. */
export async function loadColumns(reader: Queries, oids: string[]): Promise<Map<string, Column[]>> {
  const types = await loadTypes(reader, oids)
  const rows = await reader.query<{ oid: string; facts: string }>(
    `select a.attrelid::text as oid, json_build_object('name', a.attname, 'attnum', a.attnum, 'type', format_type(a.atttypid, a.atttypmod),
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
              'stored', json_build_object('length', a.attlen, 'align', a.attalign, 'storage', a.attstorage),
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
      foreignDefault: null,
    }
    columns.set(oid, [...(columns.get(oid) ?? []), resolved])
  }
  return columns
}

type ColumnFacts = Omit<Column, 'value' | 'baseType' | 'domainChecks' | 'foreignDefault'> & {
  typeOid: string
  typmod: number
}

/** Types whose values can be made wherever their extension was installed. */
const EXTENSIONS = `'{citext,hstore,ltree,lquery,cube,vector,halfvec,geometry,geography}'::text[]`

const MADE_OF: Readonly<Record<string, string>> = { c: 'record', r: 'range', m: 'multirange' }

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
  /** Of a composite type, a range or a multirange. */
  parts: { oid: string; typmod: number }[] | null
}

async function loadTypes(reader: Queries, oids: string[]): Promise<Map<string, TypeFacts>> {
  const rows = await reader.query<{ facts: string }>(
    `with recursive need as (
       select distinct a.atttypid as oid from pg_attribute a
        where a.attrelid = any($1::oid[]) and a.attnum > 0 and not a.attisdropped
       union
       select x.oid from need join pg_type t on t.oid = need.oid cross join lateral (
            select t.typbasetype as oid where t.typtype = 'd' union all select t.typelem where t.typcategory = 'A'
            union all select a.atttypid from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
            union all select r.rngsubtype from pg_range r where r.rngtypid = t.oid or to_jsonb(r) ->> 'rngmultitypid' = t.oid::text) x
        where x.oid <> 0)
     select json_build_object('oid', t.oid::text, 'kind', t.typtype,
              -- Whatever else is called int4 is none; extensions may be installed anywhere.
              'name', case when n.nspname = 'pg_catalog' or (t.typtype = 'b' and t.typname = any(${EXTENSIONS})) then t.typname
                 else n.nspname || '.' || t.typname end, 'base', t.typbasetype::text,
              'parts', case t.typtype
                 when 'c' then (select json_agg(json_build_object('oid', a.atttypid::text, 'typmod', a.atttypmod) order by a.attnum)
                    from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)
                 when 'r' then (select json_build_array(json_build_object('oid', r.rngsubtype::text, 'typmod', -1)) from pg_range r where r.rngtypid = t.oid)
                 when 'm' then (select json_build_array(json_build_object('oid', r.rngsubtype::text, 'typmod', -1)) from pg_range r
                    where to_jsonb(r) ->> 'rngmultitypid' = t.oid::text) end,
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

interface Resolved {
  value: ValueType
  /** Only of domains. */
  baseType?: string
  notNull: boolean
  checks: string[]
}

function resolveType(oid: string, typmod: number, types: ReadonlyMap<string, TypeFacts>): Resolved {
  const type = types.get(oid)
  if (!type) return { value: { name: 'unknown' }, notNull: false, checks: [] }
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
    // Elements that are arrays or checked domains are not worth the trouble: an array of none will do.
    if (element.value.array || element.checks.length > 0 || formsOf(element.value).length === 0) {
      return { value: { name: 'empty_array' }, notNull: false, checks: [] }
    }
    return { value: { ...element.value, array: true }, notNull: false, checks: [] }
  }
  const made = MADE_OF[type.kind]
  if (made !== undefined && type.parts && type.name.includes('.')) {
    const parts = type.parts.map((part) => resolveType(part.oid, part.typmod, types))
    // A domain inside has CHECKs that nobody tries.
    const of = parts.map((part) => (part.checks.length > 0 ? { name: 'unknown' } : part.value))
    return { value: { name: made, of }, notNull: false, checks: [] }
  }
  return {
    value: { name: type.name, ...sizeOf(type.name, typmod), ...(type.labels ? { labels: type.labels } : {}) },
    notNull: false,
    checks: [],
  }
}
