/** Rows of ours under their keys: read, counted and deleted. */
import type { Queries } from '../client.ts'
import type { Removals } from '../verbs/writing.ts'
import type { Value } from '../rows/batch.ts'
import type { ForeignKey } from '../rows/facts.ts'
import { COMPARED } from '../rows/proof.ts'
import type { Ours, SeenRow, Trait } from '../rows/proof.ts'
import { finder, keyCells, keyFrom } from './finder.ts'
import { EQUALITY, quoteIdent, quoteTable } from './sql.ts'
import { castOf } from './text-cast.ts'

type Params = (string | readonly (string | null)[])[]

export const removals: Removals = {
  canShow: (type) => castOf(type) !== undefined,
  read: readRows,
  asShown,
  remove,
  count,
}

async function remove(on: Queries, ours: Ours, proven: readonly string[]): Promise<void> {
  const { from, where, params, mine } = found(ours, proven)
  const table = quoteTable(ours.table)
  if (ours.referencing.length === 0) {
    await on.query(`delete from ${table} as t using ${from} where ${where} and ${mine}`, params)
    return
  }
  // Locked first, looked at in a new statement: a reference made in between is seen, and none can be made afterwards.
  // Otherwise ON DELETE CASCADE or SET NULL would reach into rows of the application.
  await on.query(
    `select count(*) from (select 1 from ${table} as t, ${from} where ${where} and ${mine} for update of t) as locked`,
    params,
  )
  await on.query(
    `${partition(ours, proven)} delete from ${table} as t
      where t.ctid = any(array(select o.tid from ours as o where ${FREE})) and (t.tableoid, t.ctid) in (
        select o.part, o.tid from ours as o where ${FREE})`,
    params,
  )
}

/** Row `o` may go. */
const FREE = 'not exists (select from kept where kept.id = o.id)'

async function count(
  on: Queries,
  ours: Ours,
  proven: readonly string[],
  names: number,
): Promise<{ present: number; kept: number; names: string[][] }> {
  const { params } = found(ours, proven)
  const rows = partition(ours, proven)
  const [row] = await on.query<{ present: string; kept: string }>(
    `${rows} select (select count(*) from ours)::text as present, (select count(*) from kept)::text as kept`,
    params,
  )
  const [present, kept] = [Number(row?.present ?? 0), Number(row?.kept ?? 0)]
  if (present === 0 || names <= 0 || ours.key.columns.length === 0) return { present, kept, names: [] }
  const cells = ours.key.columns.map((_, i) => `o.c${i}::text as k${i}`).join(', ')
  const some = await on.query(
    `${rows} select ${cells} from ours as o order by exists (select from kept where kept.id = o.id) desc limit ${names}`,
    params,
  )
  const distinct = new Map(some.map((key) => keyFrom(ours.key, key)).map((tuple) => [JSON.stringify(tuple), tuple]))
  return { present, kept, names: [...distinct.values()].slice(0, names) }
}

const VERSION = `t.tableoid::text || ' ' || t.ctid::text || ' ' || t.xmin::text`

async function readRows(
  on: Queries,
  { table, key, keys, proof }: Ours,
  { written, limit }: { written: 'by others' | 'by anybody'; limit?: number | undefined },
): Promise<SeenRow[]> {
  const { from, where, params: bound } = finder(key, keys)
  const writer = written === 'by others' ? proof.writer : undefined
  const others = writer === undefined ? where : `${where} and t.xmin <> $${bound.length + 1}::text::xid`
  const params = writer === undefined ? bound : [...bound, writer]
  const cells = proof.traits.map(({ column }, i) => `left(t.${quoteIdent(column)}::text, ${COMPARED}) as v${i}`)
  const rows = await on.query(
    `select ${[`${VERSION} as version`, keyCells(key), ...cells].join(', ')}
       from ${quoteTable(table)} as t, ${from} where ${others} ${limit === undefined ? '' : `limit ${limit}`}`,
    params,
  )
  return rows.map((row) => ({
    version: row['version'] ?? '',
    key: keyFrom(key, row),
    values: proof.traits.map((_, i) => row[`v${i}`] ?? null),
  }))
}

/** Made-up texts in the form in which the server shows them. */
async function asShown(on: Queries, traits: readonly Trait[], rows: readonly (readonly Value[])[]): Promise<Value[][]> {
  const casts = traits.map(({ type }) => castOf(type) ?? '')
  if (casts.every((cast) => cast === '')) return rows.map((row) => [...row])
  const arrays = traits.map((_, i) => `$${i + 1}::text[]`)
  const shown = await on.query(
    `select ${casts.map((cast, i) => `${cast === '' ? `v${i}` : `v${i}::${cast}::text`} as v${i}`).join(', ')} from unnest(${arrays.join(', ')}) with ordinality
       as u(${traits.map((_, i) => `v${i}`).join(', ')}, ord) order by ord`,
    traits.map((_, i) => rows.map((row) => row[i] ?? null)),
  )
  return shown.map((row) => traits.map((_, i) => row[`v${i}`] ?? null))
}

/** Rows `t` under our keys, and `mine`: whether such a row is ours. */
function found(
  { key, keys, proof }: Ours,
  proven: readonly string[],
): { from: string; where: string; mine: string; params: Params } {
  if (key.columns.length === 0) {
    const written = proof.writer === undefined ? 'false' : 't.xmin = $1::text::xid'
    return { from: '(select 1) as r', where: written, mine: written, params: proof.writer ? [proof.writer] : [] }
  }
  const { from, where, params } = finder(key, keys)
  if (proof.byKey) return { from, where, mine: 'true', params }
  const bound: Params = [...params]
  const reasons: string[] = []
  if (proof.writer !== undefined) reasons.push(`t.xmin = $${bound.push(proof.writer)}::text::xid`)
  if (proven.length > 0) reasons.push(`(${VERSION}) in (select unnest($${bound.push(proven)}::text[]))`)
  return { from, where, mine: `(${reasons.join(' or ') || 'false'})`, params: bound }
}

/**
 * CTEs `ours` (the rows under our keys, by id) and `kept`: rows that are not ours after all, that rows of others refer to, or
 * that such a kept row refers to. Rows of ours that only refer to each other are not kept. The columns have names of our
 * own (`c0` …), so that none of the table's can collide with them.
 */
function partition(ours: Ours, proven: readonly string[]): string {
  const { table, key, referencing } = ours
  const { from, where, mine } = found(ours, proven)
  const self = referencing.filter((k) => k.from.id === table.id)
  const others = referencing.filter((k) => k.from.id !== table.id)
  const columns = [
    ...new Set([
      ...key.columns.map((c) => c.name),
      ...referencing.flatMap((k) => k.refs),
      ...self.flatMap((k) => k.columns),
    ]),
  ]
  const cells = columns.map((name, i) => `, t.${quoteIdent(name)} as c${i}`).join('')
  const cell = (name: string): string => `c${columns.indexOf(name)}`
  /** A row of the table that a foreign key comes from refers to row `o`. */
  const refers = ({ refs, columns, equality }: ForeignKey, column: (name: string) => string): string =>
    refs.map((ref, i) => `o.${cell(ref)} ${equality[i] ?? EQUALITY} ${column(columns[i] ?? '')}`).join(' and ')
  const inTable = (name: string): string => `c.${quoteIdent(name)}`
  const reasons = [
    'not o.mine',
    ...others.map((k) => `exists (select from ${quoteTable(k.from)} as c where ${refers(k, inTable)})`),
    ...self.map(
      (k) =>
        `exists (select from ${quoteTable(k.from)} as c where ${refers(k, inTable)} and not exists (
          select from ours as own where own.tid = c.ctid and own.part = c.tableoid))`,
    ),
  ]
  // As text: before version 14 a tid cannot be hashed, which a recursive UNION needs.
  const first = `select o.id from ours as o where ${reasons.map((reason) => `(${reason})`).join(' or ')}`
  const further = `union select o.id from kept join ours as p on p.id = kept.id
      join ours as o on o.id <> p.id and (${self.map((k) => refers(k, (name) => `p.${cell(name)}`)).join(' or ')})`
  return `with recursive ours as materialized (
      select t.tableoid as part, t.ctid as tid, t.tableoid::text || t.ctid::text as id, ${mine} as mine${cells}
        from ${quoteTable(table)} as t, ${from} where ${where}),
    kept(id) as (${first} ${self.length > 0 ? further : ''})`
}
