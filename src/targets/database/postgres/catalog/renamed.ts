/** What the columns of a step are called now, and of which type: a migration may have renamed, retyped or dropped them. */
import type { Queries } from '../../client.ts'
import type { Located, Renamed } from '../../rows/located.ts'

/** By number where it is the same table, otherwise by name: in another one, and in a partition, the numbers mean other columns. */
export async function columnsNow(on: Queries, table: Located): Promise<Renamed> {
  const rows = await on.query<Record<'num' | 'name' | 'type' | 'cast' | 'equality' | 'equalities' | 'integer', string>>(
    `select a.attnum::text as num, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
            format_type(t.oid, t.typmod) as cast,
            coalesce((select json_agg(format('OPERATOR(%I.%s)', n.nspname, o.oprname)) from pg_opclass c
               join pg_am on pg_am.oid = c.opcmethod and pg_am.amname = 'btree'
               join pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
                and m.amopstrategy = 3
               join pg_operator o on o.oid = m.amopopr join pg_namespace n on n.oid = o.oprnamespace
              where c.opcintype = t.oid), '[]')::text as equalities,
            (t.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))::text as integer,
            coalesce((select format('OPERATOR(%I.%s)', n.nspname, o.oprname) from pg_opclass c
               join pg_am on pg_am.oid = c.opcmethod and pg_am.amname = 'btree'
               join pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
                and m.amopstrategy = 3
               join pg_operator o on o.oid = m.amopopr join pg_namespace n on n.oid = o.oprnamespace
              where c.opcdefault and c.opcintype = t.oid limit 1), 'OPERATOR(pg_catalog.=)') as equality
       from pg_attribute a cross join lateral (
         with recursive base(oid, typmod) as (select a.atttypid, a.atttypmod
           union all select d.typbasetype, d.typtypmod from base b join pg_type d on d.oid = b.oid and d.typtype = 'd')
         select b.oid, b.typmod from base b join pg_type d on d.oid = b.oid and d.typtype <> 'd') t
      where a.attrelid = (select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                           where n.nspname = $1 and c.relname = $2)
        and a.attnum > 0 and not a.attisdropped`,
    [table.schema, table.table],
  )
  const found = rows.map((row) => ({
    ...row,
    num: Number(row.num),
    integer: row.integer === 'true',
    equalities: JSON.parse(row.equalities) as string[],
  }))
  return ({ name, attnum }) =>
    found.find((column) =>
      table.same && !table.detached && attnum !== undefined ? column.num === attnum : column.name === name,
    )
}
