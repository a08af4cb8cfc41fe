/** Deleting rows of ours by hand: one statement that looks at the same things as the undo before it deletes. */
import type { ByHand } from '../../../../core/skill.ts'
import type { InsertedRows, ProvenByHand } from '../../verbs/writing.ts'
import { countKeys } from '../../rows/keys.ts'
import { doBlock, inPsql, literal, remark, writtenOut } from './psql.ts'
import { asRecorded } from './recorded-names.ts'
import { finder } from '../finder.ts'
import { keyByHand } from './key.ts'
import type { Key, Keys } from '../../rows/keys.ts'
import { quoteIdent, quoteTable } from '../sql.ts'

interface RowsByHand extends ProvenByHand {
  schema: string
  table: string
  oid: string
  key: Key
  keys: Keys
  xid: string
  server_start?: string | undefined
}

/** Lines for a shell. */
export function removeByHand(config: unknown, step: InsertedRows, proven: ProvenByHand): ByHand {
  const { keys = [], xid } = step
  if (xid === undefined || keys.length === 0) {
    return { lines: [remark(`nothing was committed to ${step.id}: there is nothing to do`)], holdsValues: false }
  }
  const statement = deleteByHand({ ...step, keys, xid, ...proven })
  const used = step.recipe.columns.filter(({ name }) => proven.values.some(({ column }) => column === name))
  const what = remark(
    `deletes those of ${countKeys(step.key, keys)} rows of ${step.id} that are known to be ours and that no others refer to`,
  )
  return {
    lines: [what, ...inPsql(config, [asRecorded(step, [...step.key.columns, ...used]), statement])],
    holdsValues: false,
  }
}

/** Values that are enough to know a transaction by. */
const SAMPLE = 100

/** Rows that anybody else's rows refer to stay, as in the undo: a foreign key could take those along. */
function deleteByHand(rows: RowsByHand): string {
  const { schema, table, key, keys, xid, server_start: since, values } = rows
  const { from, where, params } = finder(keyByHand(key), keys)
  const name = quoteTable({ schema, table })
  const under = writtenOut(where, params)
  const ours = `${under} and ${mine(rows)}`
  const found = `from ${name} as t, ${writtenOut(from, params)} where ${ours}`
  const deletion = `delete from ${name} as t using ${writtenOut(from, params)} where ${ours}`
  const restarted = since === undefined ? undefined : { since, values }
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
  select count(*) into gone from ${name} as t, ${writtenOut(from, params)} where ${under};
  if gone > 0 then
    raise notice '% rows under these keys are left: they are not known to be ours, or others refer to them', gone;
  end if;
end`)
}

/** Row `t` under a key of ours is ours: our transaction wrote it, to the table that it is in now, or it has a value of ours. */
function mine({ schema, table, oid, xid, byKey, pairsIn, values }: RowsByHand): string {
  if (byKey) return 'true'
  const short = (BigInt(xid) & 0xffffffffn).toString()
  const same = `${literal(quoteTable({ schema, table }))}::regclass = ${literal(oid)}::oid`
  const paired =
    pairsIn === undefined ? [] : [`${same} and pg_relation_filenode(${literal(oid)}::oid)::text = ${literal(pairsIn)}`]
  const written = [
    `t.xmin::text = ${literal(short)}`,
    same,
    `(pg_snapshot_xmax(pg_current_snapshot())::text::numeric - ${literal(xid)}::numeric) < 4294967296`,
  ]
  const valued = values.map(
    ({ column, texts }) =>
      `coalesce(t.${quoteIdent(column)}::text collate "C" = any(array[${texts.map(literal).join(', ')}]), false)`,
  )
  return `(${[written.join(' and '), ...paired, ...valued].join(' or ')})`
}

function unproven(
  { since, values }: { since: string; values: RowsByHand['values'] },
  found: string,
  xid: string,
): string {
  const has = values.map(
    ({ column, texts }) =>
      `t.${quoteIdent(column)}::text collate "C" = any(array[${texts.slice(0, SAMPLE).map(literal).join(', ')}])`,
  )
  const short = (BigInt(xid) & 0xffffffffn).toString()
  const proof = has.length > 0 ? has.join(' or ') : `t.xmin::text = ${literal(short)}`
  return `
  if pg_postmaster_start_time()::text <> ${literal(since)} and not exists (select ${found} and (${proof})) then
    raise exception 'the server was started anew since, and no row is known to be ours: look at them first';
  end if;`
}
