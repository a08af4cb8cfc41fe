/** The sequences behind columns: how far they are, where they end, and what else they fill; read from the catalog. */
import type { DbReader } from '../../client.ts'
import { foreignCode } from './foreign-code.ts'
import type { NumberSource } from '../../rows/facts.ts'
import { quoteIdent } from '../sql.ts'

/** The sequences that defaults and identities of these tables (by oid) draw from, by their own oid. */
export async function loadNumbers(
  reader: Pick<DbReader, 'query'>,
  tables: string[],
): Promise<Map<string, NumberSource>> {
  const rows = await reader.query<{ oid: string; facts: string }>(NUMBERS, [tables])
  const found = new Map<string, NumberSource>()
  for (const { oid, facts } of rows) {
    const { hidden, ...raw } = JSON.parse(facts) as Raw
    const [increment, min, max, start, cache] = [raw.increment, raw.min, raw.max, raw.start, raw.cache].map(BigInt)
    if (increment === undefined || min === undefined || max === undefined || start === undefined || !cache) continue
    const last = hidden ? await lastWritten(reader, raw, increment) : raw.last === null ? null : BigInt(raw.last)
    found.set(oid, { ...raw, increment, min, max, start, cache, last })
  }
  return found
}

interface Raw extends Pick<NumberSource, 'name' | 'cycle'> {
  increment: string
  min: string
  max: string
  start: string
  cache: string
  last: string | null
  /** We may draw from it through a column but not look at it. */
  hidden: boolean
  columns: (NumberSource['columns'][number] & { oid: string })[]
}

/** Of a sequence that we may not look at: the furthest number that went into its columns. */
async function lastWritten(
  reader: Pick<DbReader, 'query'>,
  { columns }: Pick<Raw, 'columns'>,
  increment: bigint,
): Promise<bigint | null> {
  let last: bigint | null = null
  const code = await foreignCode(
    reader,
    columns.map(({ oid }) => oid),
    'read',
  )
  for (const { oid, table, column } of columns) {
    if (code.get(oid)?.table !== undefined) continue
    const far = `${increment > 0n ? 'max' : 'min'}(${quoteIdent(column)})::numeric`
    const [row] = await reader
      .query<{ n: string | null }>(`select trunc(${far})::text as n from ${table}`)
      .catch(() => [])
    const n = row?.n == null ? null : BigInt(row.n)
    if (n !== null && (last === null || (increment > 0n ? n > last : n < last))) last = n
  }
  return last
}

const NUMBERS = `
with drawn as (
  select d.adrelid as rel, d.adnum as num, x.refobjid as seq, true as draws from pg_attrdef d
    join pg_depend x on x.classid = 'pg_attrdef'::regclass and x.objid = d.oid and x.refclassid = 'pg_class'::regclass
    join pg_class c on c.oid = x.refobjid and c.relkind = 'S'
  union all
  select x.refobjid, x.refobjsubid, x.objid, x.deptype = 'i' from pg_depend x join pg_class c on c.oid = x.objid and c.relkind = 'S'
   where x.classid = 'pg_class'::regclass and x.refclassid = 'pg_class'::regclass and x.deptype in ('a', 'i') and x.refobjsubid > 0),
fills as (select rel, num, seq, bool_or(draws) as draws from drawn group by rel, num, seq)
select q.seqrelid::text as oid, json_build_object(
  'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'increment', q.seqincrement::text, 'min', q.seqmin::text,
  'max', q.seqmax::text, 'start', q.seqstart::text, 'cycle', q.seqcycle, 'cache', q.seqcache::text,
  'hidden', not has_sequence_privilege(c.oid, 'SELECT,USAGE'),
  'last', case when has_sequence_privilege(c.oid, 'SELECT,USAGE') then pg_sequence_last_value(c.oid) end::text,
  'columns', (select json_agg(json_build_object('table', quote_ident(tn.nspname) || '.' || quote_ident(t.relname),
       'column', a.attname, 'oid', t.oid::text, 'draws', f.draws,
       'unique', exists (select from pg_index i where i.indrelid = f.rel and i.indisunique and f.num = any(i.indkey::int2[])),
       'type', coalesce(b.typname, y.typname),
       'digits', case when coalesce(b.typname, y.typname) = 'numeric' and greatest(a.atttypmod, y.typtypmod) >= 4
                   then ((greatest(a.atttypmod, y.typtypmod) - 4) >> 16) - ((greatest(a.atttypmod, y.typtypmod) - 4) & 2047) end))
     from fills f join pg_attribute a on a.attrelid = f.rel and a.attnum = f.num and not a.attisdropped
     join pg_class t on t.oid = f.rel join pg_namespace tn on tn.oid = t.relnamespace
     join pg_type y on y.oid = a.atttypid left join pg_type b on b.oid = y.typbasetype where f.seq = q.seqrelid))::text as facts
  from pg_sequence q join pg_class c on c.oid = q.seqrelid join pg_namespace n on n.oid = c.relnamespace
 where q.seqrelid in (select seq from fills where draws and rel = any($1::oid[]))`
