/** The rows of every table of a database, as texts. */
import pg from 'pg'
import { messageOf } from '../../src/core/errors.ts'

export type Table = Rows | Digest | Unreadable

/** All of it. `key` are the names of the primary key's columns; none where there is no primary key. */
export interface Rows {
  kind: 'rows'
  columns: string[]
  key: string[]
  rows: (string | null)[][]
}

export interface Digest {
  kind: 'digest'
  count: number
  hash: string
}

export interface Unreadable {
  kind: 'unreadable'
  why: string
}

/** Inside a transaction, whose settings decide how values are written. Partitions are tables, their parents are not. */
export async function readTables(client: pg.Client, keepRows: number): Promise<Record<string, Table>> {
  const { rows } = await client.query<Relation>(RELATIONS)
  const tables: Record<string, Table> = {}
  for (const relation of rows) {
    await client.query('savepoint relation')
    try {
      tables[relation.name] = await readTable(client, relation, keepRows)
    } catch (error) {
      await client.query('rollback to relation')
      tables[relation.name] = { kind: 'unreadable', why: messageOf(error) }
    }
  }
  return tables
}

interface Relation {
  /** Quoted where needed. */
  name: string
  from: string
  columns: string[]
  key: string[]
}

const RELATIONS = `
  select format('%I.%I', n.nspname, c.relname) as name,
    concat(case when c.relkind = 'r' then 'only ' end, format('%I.%I', n.nspname, c.relname)) as from,
    array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      order by a.attnum) as columns,
    array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality k (attnum, n), pg_attribute a
      where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and a.attnum = k.attnum order by k.n) as key
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where (c.relkind = 'r' or c.relkind = 'm' and c.relispopulated)
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  order by 1`

async function readTable(client: pg.Client, { from, columns, key }: Relation, keepRows: number): Promise<Table> {
  const counted = await client.query<{ n: string }>(
    `select count(*) as n from (select from ${from} limit ${keepRows + 1}) few`,
  )
  if (Number(counted.rows[0]?.n) > keepRows) return readDigest(client, from)
  const list = columns.map((column) => `t.${pg.escapeIdentifier(column)}::text`)
  const order = key.map((column) => `t.${pg.escapeIdentifier(column)}`)
  const { rows } = await client.query<(string | null)[]>({
    text: `select ${list.join(', ')} from ${from} t ${order.length > 0 ? `order by ${order.join(', ')}` : ''}`,
    rowMode: 'array',
  })
  return { kind: 'rows', columns, key, rows }
}

/** The sum of the rows' 64-bit hashes does not depend on their order, so nothing is sorted or kept in memory. */
async function readDigest(client: pg.Client, from: string): Promise<Digest> {
  const { rows } = await client.query<{ count: string; hash: string }>(
    `select count(*), sum(hashtextextended((t.*)::text, 0))::text as hash from ${from} t`,
  )
  return { kind: 'digest', count: Number(rows[0]?.count), hash: rows[0]?.hash ?? '' }
}
