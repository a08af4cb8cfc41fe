/** The triggers of a table, read from the catalog. */

/**
 * SQL for the triggers of `pg_class c` as JSON: those that the server fires in a session like ours. Rows of a partitioned
 * table fire the row triggers of their partition, each of which may be enabled or disabled by itself.
 */
export const TRIGGERS = `coalesce((select json_agg(json_build_object('name', f.name,
    'on', json_build_object('insert', f.type & 4 <> 0, 'delete', f.type & 8 <> 0, 'update', f.type & 16 <> 0),
    'columns', f.columns, 'function', f.function, 'owner', f.owner, 'harmless', f.harmless) order by f.name)
  from (select distinct on (t.tgname) t.tgname as name, t.tgtype as type, pg_get_userbyid(p.proowner) as owner,
          coalesce((select json_agg(a.attname order by a.attnum) from pg_attribute a
             where a.attrelid = t.tgrelid and a.attnum = any(t.tgattr)), '[]') as columns,
          quote_ident(pn.nspname) || '.' || quote_ident(p.proname) as function,
          pn.nspname = 'pg_catalog' and p.proname in ('tsvector_update_trigger', 'tsvector_update_trigger_column', 'suppress_redundant_updates_trigger')
            as harmless
        from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace pn on pn.oid = p.pronamespace
       where not exists (select from pg_constraint k where k.oid = t.tgconstraint and k.contype <> 't')
         and t.tgenabled = any(case current_setting('session_replication_role') when 'replica' then '{R,A}' else '{O,A}' end::"char"[])
         and (case when c.relkind <> 'p' then t.tgrelid = c.oid
                   when t.tgtype & 1 = 0 then t.tgrelid = c.oid
                   else t.tgrelid in (select pt.relid from pg_partition_tree(c.oid) pt where pt.isleaf) end)
       order by t.tgname, t.tgrelid) f), '[]')`
