/** A page for a person has the names of the journal: where a migration has changed them since, it says what to write instead. */
import { doBlock, literal } from './psql.ts'
import { isBuiltinType, quoteIdent, quoteTable } from '../sql.ts'

export interface Recorded {
  schema: string
  table: string
  oid: string
}

/** A column of the page; without a number (old journals) it is not looked at. */
export interface RecordedColumn {
  name: string
  attnum?: number | undefined
  /** Castable. */
  type: string
}

/**
 * Ends the page with what to replace, where the table with the recorded oid, or a column by its number, is called otherwise now or
 * has another type. Where the table is gone, or another one has its name now, the page goes on: it may have our rows (a dump that
 * was loaded), and the statements look at whose they are.
 */
export function asRecorded(table: Recorded, columns: readonly RecordedColumn[]): string {
  const known = [...new Map(columns.filter((c) => c.attnum !== undefined).map((c) => [c.attnum, c])).values()]
  // A journal is data: a type that is not the server's own stands on no page, and is not compared.
  const typed = (type: string): string => (isBuiltinType(type) ? literal(type) : 'null::text')
  const rows = known.map((c) => `(${c.attnum ?? 0}, ${literal(quoteIdent(c.name))}, ${typed(c.type)})`)
  const checks = [
    changed(`select format('write %s for %s', now, ${literal(quoteTable(table))})
    from (select ${quoted('n.nspname')} || '.' || ${quoted('c.relname')} as now
            from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = ${literal(table.oid)}::oid) as t
   where now <> ${literal(quoteTable(table))} and to_regclass(${literal(quoteTable(table))}) is null`),
    changed(`select string_agg(case when a.attisdropped then format('%s was dropped, leave it out', v.name)
                        when ${quoted('a.attname')} <> v.name then format('write %s for %s', ${quoted('a.attname')}, v.name)
                        else format('%s is of type %s and no longer of %s, write it and its values so', v.name, format_type(a.atttypid, a.atttypmod), v.type) end, '; ')
    from (values ${rows.join(', ')}) as v(num, name, type)
    join pg_attribute a on a.attrelid = ${literal(table.oid)}::oid and a.attnum = v.num
   where a.attisdropped or ${quoted('a.attname')} <> v.name or not (${sameForm('a.atttypid', 'to_regtype(v.type)')})`),
  ]
  return doBlock(`declare
  todo text;
begin
${checks.slice(0, rows.length === 0 ? 1 : 2).join('\n')}
end`)
}

function changed(query: string): string {
  return `  select (${query}) into todo;
  if todo is not null then
    raise exception 'names were changed since: % (everywhere on this page), then run it again', todo;
  end if;`
}

/** As the page has them: always in quotes. */
function quoted(name: string): string {
  return `'"' || replace(${name}, '"', '""') || '"'`
}

/** The same type, or another with the same texts. */
function sameForm(now: string, then: string): string {
  const among = (types: string): string => `(${now} in (${types}) and ${then} in (${types}))`
  const integers = `'int2'::regtype, 'int4'::regtype, 'int8'::regtype`
  return `${now} = ${then} or ${among(integers)} or ${among(`'text'::regtype, 'varchar'::regtype`)}`
}
