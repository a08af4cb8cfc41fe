/** Things that have names like tables, and are none. */
import type { Queries } from '../../client.ts'

const KINDS: Record<string, string> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
}

export async function otherThanTable(
  on: Queries,
  schemas: readonly string[],
  name: string,
): Promise<string | undefined> {
  const [other] = await on.query<{ kind: string }>(
    `select c.relkind::text as kind from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = any($1::text[]) and c.relname = $2 and c.relkind in ('v', 'm', 'f', 'S')
      order by array_position($1::text[], n.nspname::text) limit 1`,
    [schemas, name],
  )
  return other && (KINDS[other.kind] ?? 'no table')
}
