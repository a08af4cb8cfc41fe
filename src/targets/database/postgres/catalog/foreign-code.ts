/** Whose code the server would run, as us, for rows of a table: its checks, types, indexes, policies and the like call functions. */
import type { Queries } from '../../client.ts'

/** What is done with rows: reading and deleting evaluates less than writing does. */
export type Touch = 'read' | 'write'

export interface ForeignCode {
  /** Why no statement of ours may touch rows of the table; undefined when one may. */
  table: string | undefined
  /** The same of the defaults of columns, by name: they are evaluated where a column is left to the server. */
  defaults: ReadonlyMap<string, string>
}

/**
 * SQL: whoever owns this could do everything as our role anyway: a superuser, our role itself, and its members. Code of
 * anybody else must not run with our rights. Of a function only the owner counts: what a superuser's function calls is a
 * superuser's word.
 */
function trusted(owner: string): string {
  return `pg_has_role(${owner}, session_user, 'USAGE')`
}

/** By table oid; those that only the server, superusers and our role have code for are left out. Evaluates nothing itself. */
export async function foreignCode(
  on: Queries,
  oids: readonly string[],
  touch: Touch,
): Promise<Map<string, ForeignCode>> {
  const found = new Map<string, { table: string | undefined; defaults: Map<string, string> }>()
  if (oids.length === 0) return found
  const rows = await on.query<Row>(CODE, [[...new Set(oids)], String(touch === 'write')])
  for (const row of rows) {
    const known = found.get(row.root) ?? { table: undefined, defaults: new Map<string, string>() }
    found.set(row.root, known)
    if (row.column === null) known.table ??= reasonOf(row)
    else known.defaults.set(row.column, reasonOf(row))
  }
  return found
}

// A type, since an interface has no index signature.
type Row = {
  root: string
  column: string | null
  origin: string
  code: string
  owner: string
  role: string
  able: string
}

function reasonOf({ origin, code, owner, role, able }: Row): string {
  return able === 'true'
    ? `${origin} calls ${code}, which could run anything as ${role}`
    : `${origin} uses ${code} of ${owner}, whose code would run as ${role}`
}

/** Functions named in an expression, the server's own too, on which nothing is said to depend. */
const CALLED = String.raw`:(?:funcid|aggfnoid|winfnoid) (\d+)`
/** Volatile functions of the server and of extensions that do nothing but give a value. */
const HARMLESS = '^(clock_timestamp|timeofday|setseed|gen_.*|nextval|currval|lastval|txid_.*|pg_current_xact_id.*)$|random|uuid|ulid|nanoid|snowflake|ksuid' // prettier-ignore
/** Functions that run the SQL that they are given, or read what they are told, whatever they say of themselves. */
const ABLE = '_to_xml|^(crosstab|connectby|xpath_table|dblink)'
/** The first oid that is not the server's own. */
const USERS = 16_384

/** The objects of a table whose expressions the server evaluates for us; `tree` is the expression. */
const ORIGINS = `
  select t.root, 'pg_class'::regclass::oid as kind, t.oid as id, null::name as col,
         (select p.partexprs::text from pg_partitioned_table p where p.partrelid = t.oid) as tree from tree t
  union all
  select t.root, 'pg_class'::regclass::oid, i.indexrelid, null, concat(i.indexprs::text, i.indpred::text)
    from tree t join pg_index i on i.indrelid = t.oid
  union all
  select t.root, 'pg_constraint'::regclass::oid, k.oid, null, k.conbin::text
    from tree t join pg_constraint k on k.conrelid = t.oid or k.confrelid = t.oid where k.contype <> 'c' or $2::bool
  union all
  select t.root, 'pg_attrdef'::regclass::oid, d.oid, case when a.attgenerated = '' then a.attname end, d.adbin::text
    from tree t join pg_attrdef d on d.adrelid = t.oid join pg_attribute a on a.attrelid = t.oid and a.attnum = d.adnum
   where $2::bool or a.attgenerated = 'v'
  union all
  select t.root, 'pg_policy'::regclass::oid, p.oid, null, concat(p.polqual::text, p.polwithcheck::text)
    from tree t join pg_policy p on p.polrelid = t.oid where row_security_active(t.oid)
  union all
  select t.root, 'pg_statistic_ext'::regclass::oid, s.oid, null, to_jsonb(s) ->> 'stxexprs'
    from tree t join pg_statistic_ext s on s.stxrelid = t.oid
  union all
  select t.root, 'pg_rewrite'::regclass::oid, r.oid, null, concat(r.ev_qual::text, r.ev_action::text)
    from tree t join pg_rewrite r on r.ev_class = t.oid where r.ev_enabled <> 'D'`

/** What an object \`c\` leads to: what it depends on, and what the catalogs keep beside it. */
const NEXT = `
  select d.refclassid as kind, d.refobjid as id, false as called from pg_depend d
   where d.classid = c.kind and d.objid = c.id
     and d.refclassid = any('{pg_proc,pg_operator,pg_opclass,pg_opfamily,pg_type}'::regclass[]::oid[])
  union all
  select d.refclassid, d.refobjid, false from pg_depend d join pg_policy p on p.oid = c.id and c.kind = 'pg_policy'::regclass
   where d.classid = c.kind and d.objid = c.id and d.refclassid = 'pg_class'::regclass and d.refobjid <> p.polrelid
  union all
  select 'pg_class'::regclass, t.typrelid, false from pg_type t
   where c.kind = 'pg_type'::regclass and t.oid = c.id and t.typrelid <> 0
  union all
  select 'pg_constraint'::regclass, k.oid, false from pg_constraint k
   where $2::bool and c.kind = 'pg_type'::regclass and k.contypid = c.id
  union all
  select 'pg_proc'::regclass, m[1]::oid, true from pg_constraint k cross join regexp_matches(k.conbin::text, '${CALLED}', 'g') m
   where c.kind = 'pg_constraint'::regclass and k.oid = c.id and k.contypid <> 0
  union all
  select 'pg_proc'::regclass, m[1]::oid, true from pg_type t cross join regexp_matches(t.typdefaultbin::text, '${CALLED}', 'g') m
   where c.kind = 'pg_type'::regclass and t.oid = c.id
  union all
  select 'pg_proc'::regclass, x.castfunc, false from pg_cast x
   where c.kind = 'pg_type'::regclass and c.id >= ${USERS} and c.id in (x.castsource, x.casttarget) and x.castfunc <> 0
  union all
  select 'pg_opclass'::regclass, o.oid, false from pg_opclass o
   where c.kind = 'pg_type'::regclass and c.id >= ${USERS} and o.opcintype = c.id
  union all
  select 'pg_operator'::regclass, m.amopopr, false from pg_amop m
   where c.kind = 'pg_opfamily'::regclass and c.id >= ${USERS} and m.amopfamily = c.id
  union all
  select 'pg_proc'::regclass, m.amproc, false from pg_amproc m
   where c.kind = 'pg_opfamily'::regclass and c.id >= ${USERS} and m.amprocfamily = c.id`

/** A function that is the server's or an extension's, and can do more than give a value. */
const CAN_RUN = `p.proname ~ '${ABLE}' or (p.provolatile = 'v' and p.proname !~ '${HARMLESS}')`
const OF_OTHERS = `(p.pronamespace = 'pg_catalog'::regnamespace
  or exists (select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e'))`

const CODE = `
with recursive tree(root, oid) as (
    select r, r from unnest($1::oid[]) r
    union select t.root, i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid),
  origin as (${ORIGINS}),
  code(root, col, origin_kind, origin, kind, id, called) as (
    select o.root, o.col, o.kind, o.id, x.kind, x.id, x.called from origin o cross join lateral (
      select o.kind, o.id, false
      union all select 'pg_proc'::regclass, m[1]::oid, true from regexp_matches(o.tree, '${CALLED}', 'g') m) x(kind, id, called)
    union
    select c.root, c.col, c.origin_kind, c.origin, n.kind, n.id, n.called from code c cross join lateral (${NEXT}) n),
  found as (
    select c.*, false as able, format('function %s', p.oid::regprocedure) as code, p.proowner as owner
      from code c join pg_proc p on p.oid = c.id and c.kind = 'pg_proc'::regclass where not ${trusted('p.proowner')}
    union all
    select c.*, true, format('function %s', p.oid::regprocedure), p.proowner
      from code c join pg_proc p on p.oid = c.id and c.kind = 'pg_proc'::regclass and c.called
     where ${trusted('p.proowner')} and ${OF_OTHERS} and (${CAN_RUN})
    union all
    select c.*, false, format('%s', r.oid::regclass), r.relowner from code c
      join pg_class r on r.oid = c.id and c.kind = 'pg_class'::regclass
     where c.origin_kind = 'pg_policy'::regclass and not ${trusted('r.relowner')}
    union all
    select t.root, null, 'pg_class'::regclass, t.oid, null, null, false, false, 'a foreign server', r.relowner
      from tree t join pg_class r on r.oid = t.oid and r.relkind = 'f' where not ${trusted('r.relowner')})
select distinct on (f.root, f.col) f.root::text as root, f.col::text as column, f.able::text as able, f.code,
       left(pg_describe_object(f.origin_kind, f.origin, 0), 400) as origin, pg_get_userbyid(f.owner)::text as owner,
       session_user::text as role
  from found f order by f.root, f.col, f.able, f.code, f.origin`

/** Relations that hold rows referring to the table, or that its rows refer to, as roots of their partitions. */
export async function neighbours(on: Queries, oid: string, which: 'referring' | 'all'): Promise<string[]> {
  const rows = await on.query<{ oid: string }>(
    `with recursive tree(oid) as (select $1::oid union select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid)
     select distinct coalesce(pg_partition_root(x.oid)::oid, x.oid)::text as oid from (
       select k.conrelid from pg_constraint k where k.contype = 'f' and k.confrelid in (select oid from tree)
       union select k.confrelid from pg_constraint k where k.contype = 'f' and k.conrelid in (select oid from tree) and $2::bool
     ) x(oid)`,
    [oid, String(which === 'all')],
  )
  return rows.map((row) => row.oid)
}

/** Why triggers of the table would run a stranger's code for a DELETE or an UPDATE of these columns; undefined when none would. */
export async function foreignTrigger(
  on: Queries,
  oid: string,
  event: 'DELETE' | { update: readonly string[] },
  allowed: readonly string[] | 'any',
): Promise<string | undefined> {
  if (allowed === 'any') return undefined
  const [row] = await on.query<{ name: string; function: string; owner: string; role: string }>(
    `with recursive tree(oid) as (select $1::oid union select i.inhrelid from tree t join pg_inherits i on i.inhparent = t.oid)
     select t.tgname::text as name, p.oid::regprocedure::text as function, pg_get_userbyid(p.proowner)::text as owner,
            session_user::text as role
       from tree join pg_trigger t on t.tgrelid = tree.oid
       join pg_depend d on d.classid = 'pg_trigger'::regclass and d.objid = t.oid and d.refclassid = 'pg_proc'::regclass
       join pg_proc p on p.oid = d.refobjid join pg_namespace n on n.oid = p.pronamespace
      where t.tgenabled = any(case current_setting('session_replication_role') when 'replica' then '{R,A}' else '{O,A}' end::"char"[])
        and t.tgtype & $2::int <> 0 and not ${trusted('p.proowner')}
        and (cardinality(t.tgattr::int2[]) = 0 or exists (select from pg_attribute a
              where a.attrelid = t.tgrelid and a.attnum = any(t.tgattr) and a.attname = any($3::text[])))
        and quote_ident(n.nspname) || '.' || quote_ident(p.proname) <> all ($4::text[])
      limit 1`,
    [oid, event === 'DELETE' ? '8' : '16', event === 'DELETE' ? [] : [...event.update], [...allowed]],
  )
  if (!row) return undefined
  return `trigger ${row.name} calls function ${row.function} of ${row.owner}, whose code would run as ${row.role}`
}

/**
 * Of the schemas of a search path those in which nobody else has put a function, an operator or a view: a superuser's function
 * finds what it calls along the path.
 */
export async function ownSchemas(on: Queries, schemas: readonly string[]): Promise<string[]> {
  const rows = await on.query<{ name: string }>(
    `select s.name from unnest($1::text[]) with ordinality s(name, ord) join pg_namespace n on n.nspname = s.name
      where not exists (select from pg_proc p where p.pronamespace = n.oid and not ${trusted('p.proowner')})
        and not exists (select from pg_operator o where o.oprnamespace = n.oid and not ${trusted('o.oprowner')})
        and not exists (select from pg_class c where c.relnamespace = n.oid and c.relkind in ('v', 'm') and not ${trusted('c.relowner')})
      order by s.ord`,
    [[...schemas]],
  )
  return rows.map(({ name }) => name)
}
