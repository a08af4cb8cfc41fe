/** The partitions of a table, read from the catalog: which rows they take, as a condition that is tried like a CHECK. */

/** Partitions looked at: of more, the rows go into the last ones by name, which are mostly the newest. */
const LOOKED_AT = 300

/** SQL for all tables of the tree below `relation`, itself included; just itself where it has no partitions. */
export function treeOf(relation: string): string {
  return `(select ${relation} union select pt.relid from pg_partition_tree(${relation}) pt)`
}

const LEAVES = `(select l.oid, l.relkind, l.relname from pg_partition_tree(c.oid) pt join pg_class l on l.oid = pt.relid where pt.isleaf and l.relkind <> 'p')`

/** A CHECK, or a NOT NULL, that a partition has for itself. */
const OWN_LIMITS = `
  select pg_get_expr(k.conbin, k.conrelid) as sql, k.conkey as columns
    from pg_constraint k where k.conrelid = l.oid and k.contype = 'c' and k.coninhcount = 0
  union all
  select format('%I is not null', a.attname), array[a.attnum] from pg_attribute a
    join pg_attribute r on r.attrelid = c.oid and r.attname = a.attname and not r.attnotnull
   where a.attrelid = l.oid and a.attnum > 0 and a.attnotnull and not a.attisdropped`

/** SQL for the partitions of `pg_class c` as JSON; NULL for any other table. */
export const PARTITIONS = `case when c.relkind = 'p' then json_build_object(
  'bounds', coalesce((select json_agg(concat_ws(' and ', coalesce(pg_get_partition_constraintdef(l.oid), 'true'),
        (select string_agg(format('((%s) is not false)', o.sql), ' and ') from (${OWN_LIMITS}) o)) order by l.relname desc)
     from (select * from ${LEAVES} l order by l.relname desc limit ${LOOKED_AT}) l), '[]'),
  'columns', coalesce((select json_agg(distinct n.name) from (
      select a.attname as name from pg_depend d join pg_attribute a on a.attrelid = d.objid and a.attnum = d.objsubid
       where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.objid = d.refobjid and d.refobjsubid = 0
         and d.objsubid > 0 and d.objid in ${treeOf('c.oid')}
      union select a.attname from ${LEAVES} l cross join lateral (${OWN_LIMITS}) o
       join pg_attribute a on a.attrelid = l.oid and a.attnum = any(o.columns)) n), '[]'),
  'foreign', (select min(l.oid::regclass::text) from ${LEAVES} l where l.relkind = 'f')) end`
