/** Deleting rows of ours by hand: one statement that looks at the same things as the undo before it deletes. */
import { doBlock, literal, writtenOut } from './by-hand.ts'
import { finder } from './keys.ts'
import type { Key, Keys } from './keys.ts'
import { shortXid } from './removal.ts'
import { quoteIdent, quoteTable } from './sql.ts'

export interface RowsByHand {
  schema: string
  table: string
  key: Key
  keys: Keys
  /** Of the transaction that inserted them. */
  xid: string
  /** The application could come up with the same keys: then only what our transaction wrote is ours. */
  common: boolean
  /** A server that has been started anew since may have given the keys to others. */
  restarted?: { since: string; values: readonly { column: string; texts: readonly string[] }[] }
}

/** Values that are enough to know rows of ours by. */
const SAMPLE = 100

/** Rows that anybody else's rows refer to stay, as in the undo: a foreign key could take those along. */
export function deleteByHand(rows: RowsByHand): string {
  const { schema, table, key, keys, xid, common, restarted } = rows
  const { from, where, params } = finder(key, keys)
  const name = quoteTable({ schema, table })
  const ours = `${writtenOut(where, params)}${common ? ` and t.xmin::text = ${literal(shortXid(xid))}` : ''}`
  const found = `from ${name} as t, ${writtenOut(from, params)} where ${ours}`
  const deletion = `delete from ${name} as t using ${writtenOut(from, params)} where ${ours}`
  return doBlock(`declare
  fate text;
  unless_referred text;
  gone bigint;
begin
  begin
    fate := pg_xact_status(${literal(xid)}::xid8);
  exception when invalid_parameter_value then
    fate := 'aborted';
  end;
  if fate = 'aborted' then
    raise notice 'nothing of it was committed: there is nothing to delete';
    return;
  elsif fate = 'in progress' then
    raise exception 'transaction % of ours still runs: end its session first', ${literal(xid)};
  end if;${restarted ? unproven(restarted, found, xid) : ''}
  perform 1 ${found} for update of t;
  select coalesce(string_agg(format(' and not exists (select from %s as c where %s)', referrer, joined), ''), '')
    into unless_referred
    from (select k.conrelid::regclass as referrer,
                 string_agg(format('t.%I operator(%I.%s) c.%I', r.attname, n.nspname, o.oprname, a.attname), ' and ') as joined
            from pg_constraint k
            cross join unnest(k.conkey, k.confkey, k.conpfeqop) as u(referring, referred, equality)
            join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.referring
            join pg_attribute r on r.attrelid = k.confrelid and r.attnum = u.referred
            join pg_operator o on o.oid = u.equality
            join pg_namespace n on n.oid = o.oprnamespace
           where k.contype = 'f' and k.confrelid = ${literal(name)}::regclass
           group by k.oid, k.conrelid) as keys;
  loop
    execute ${literal(deletion)} || unless_referred;
    get diagnostics gone = row_count;
    raise notice '% rows deleted', gone;
    exit when gone = 0;
  end loop;
end`)
}

function unproven({ since, values }: NonNullable<RowsByHand['restarted']>, found: string, xid: string): string {
  const has = values.map(
    ({ column, texts }) =>
      `t.${quoteIdent(column)}::text collate "C" = any(array[${texts.slice(0, SAMPLE).map(literal).join(', ')}])`,
  )
  const proof = has.length > 0 ? has.join(' or ') : `t.xmin::text = ${literal(shortXid(xid))}`
  return `
  if pg_postmaster_start_time()::text <> ${literal(since)} and not exists (select ${found} and (${proof})) then
    raise exception 'the server was started anew since, and no row is known to be ours: look at them first';
  end if;`
}
