/** Taking rows of ours out again, without touching a row of anybody else's. */
import type { ForeignKey, Queries } from './table-facts.ts'
import { finder, keyCells, keyFrom } from './keys.ts'
import type { Key, Keys } from './keys.ts'
import { quoteIdent, quoteTable } from './sql.ts'
import type { TableRef } from './tables.ts'

/** Rows of ours by key, in a table as it is now. */
export interface Ours {
  table: TableRef
  key: Key
  keys: Keys
  /** Where the key alone does not tell them from the application's: what does. */
  proof: Proof | undefined
  /** Foreign keys that refer to the table now. */
  referencing: readonly ForeignKey[]
}

export interface Proof {
  /** The transaction that inserted the rows; an update by the application hides it… */
  xid: string
  /** …but leaves other columns, and with them a value that only we made. */
  values: { column: string; texts: string[] }[]
}

/** Deletes those that nothing of others depends on. Run it in one READ COMMITTED transaction. */
export async function removeOurs(on: Queries, ours: Ours): Promise<void> {
  const { table, key, keys } = ours
  const { from, where, params } = finder(key, keys)
  if (plain(ours)) {
    await on.query(`delete from ${quoteTable(table)} as t using ${from} where ${where}`, params)
    return
  }
  // Locked first, looked at in a new statement: a reference made in between is seen, and none can be made afterwards.
  // Otherwise ON DELETE CASCADE or SET NULL would reach into rows of the application.
  await on.query(
    `select count(*) from (select 1 from ${quoteTable(table)} as t, ${from} where ${where} for update of t) as locked`,
    params,
  )
  await on.query(
    `${partition(ours)} delete from ${quoteTable(table)} as t where t.ctid = any(array(
       select o.tid from ours as o where not exists (select from kept where kept.tid = o.tid::text)))`,
    [...params, ...proofParams(ours)],
  )
}

/** How many of ours are there, how many of those stay because of others, and names of some, those that stay first. */
export async function countOurs(
  on: Queries,
  ours: Ours,
  names: number,
): Promise<{ present: number; kept: number; names: string[][] }> {
  const { from, where, params } = finder(ours.key, ours.keys)
  const bound = [...params, ...proofParams(ours)]
  const found = plain(ours)
    ? `with ours as (select t.* from ${quoteTable(ours.table)} as t, ${from} where ${where}), kept(tid) as (select '' where false)`
    : partition(ours)
  const [row] = await on.query<{ present: string; kept: string }>(
    `${found} select (select count(*) from ours)::text as present, (select count(*) from kept)::text as kept`,
    bound,
  )
  const [present, kept] = [Number(row?.present ?? 0), Number(row?.kept ?? 0)]
  const cells = keyCells(ours.key, 'o')
  const stay =
    kept > 0 ? `(select ${cells} from kept join ours as o on o.tid::text = kept.tid limit ${names}) union all` : ''
  const some =
    present === 0 || names <= 0
      ? []
      : await on.query(`${found} ${stay} (select ${cells} from ours as o limit ${names})`, bound)
  const distinct = new Map(some.map((key) => keyFrom(ours.key, key)).map((tuple) => [JSON.stringify(tuple), tuple]))
  return { present, kept, names: [...distinct.values()].slice(0, names) }
}

/** Nobody can refer to the rows, and their keys are nobody else's. */
function plain({ referencing, proof }: Ours): boolean {
  return referencing.length === 0 && proof === undefined
}

/** Whether any of the rows has a value that only we made; where there are no such values, whether our transaction wrote it. */
export async function anyProven(on: Queries, { table, key, keys }: Ours, { xid, values }: Proof): Promise<boolean> {
  const { from, where, params } = finder(key, keys)
  const first = params.length + 1
  const has = values.map(({ column }, i) => isAmong(`t.${quoteIdent(column)}`, first + i)).join(' or ')
  const [row] = await on.query(
    `select 1 as one from ${quoteTable(table)} as t, ${from}
      where ${where} and (${values.length > 0 ? has : `t.xmin::text = $${first}`}) limit 1`,
    [...params, ...(values.length > 0 ? values.map((v) => v.texts) : [shortXid(xid)])],
  )
  return row !== undefined
}

/**
 * CTEs `ours` (the rows, by tid) and `kept`: rows that are not ours after all, that rows of others refer to, or that such
 * a kept row refers to. Rows of ours that only refer to each other are not kept.
 */
function partition({ table, key, keys, proof, referencing }: Ours): string {
  const { from, where, params } = finder(key, keys)
  const self = referencing.filter((k) => k.from.id === table.id)
  const others = referencing.filter((k) => k.from.id !== table.id)
  const columns = new Set([...key.columns.map((c) => c.name), ...referencing.flatMap((k) => k.refs)])
  for (const k of self) for (const column of k.columns) columns.add(column)
  for (const { column } of proof?.values ?? []) columns.add(column)
  const cells = [...columns].map((name) => `t.${quoteIdent(name)}`).join(', ')
  const reasons = [
    ...(proof ? [disproof(proof, params.length + 1)] : []),
    ...others.map((k) => `exists (select from ${quoteTable(k.from)} as c where ${refers(k)})`),
    ...self.map(
      (k) =>
        `exists (select from ${quoteTable(k.from)} as c where ${refers(k)} and not exists (select from ours as own where own.tid = c.ctid))`,
    ),
  ]
  // As text: before version 14 a tid cannot be hashed, which a recursive UNION needs.
  const first = `select o.tid::text from ours as o where ${reasons.map((reason) => `(${reason})`).join(' or ') || 'false'}`
  const further = `union select o.tid::text from kept join ours as c on c.tid::text = kept.tid
      join ours as o on o.tid <> c.tid and (${self.map(refers).join(' or ')})`
  return `with recursive ours as materialized (
      select t.ctid as tid, t.xmin::text as writer, ${cells} from ${quoteTable(table)} as t, ${from} where ${where}),
    kept(tid) as (${first} ${self.length > 0 ? further : ''})`
}

/** Row `c` refers to row `o`. */
function refers({ refs, columns, equality }: ForeignKey): string {
  return refs
    .map((ref, i) => `o.${quoteIdent(ref)} ${equality[i] ?? '='} c.${quoteIdent(columns[i] ?? '')}`)
    .join(' and ')
}

/** Row `o` was not written by our transaction, and has no value of ours. Its parameters begin at `first`. */
function disproof({ values }: Proof, first: number): string {
  const has = values.map(({ column }, i) => isAmong(`o.${quoteIdent(column)}`, first + 1 + i))
  return [`o.writer <> $${first}`, ...has.map((condition) => `not ${condition}`)].join(' and ')
}

function isAmong(column: string, param: number): string {
  return `coalesce(${column}::text collate "C" = any($${param}::text[]), false)`
}

function proofParams({ proof }: Ours): (string | string[])[] {
  return proof === undefined ? [] : [shortXid(proof.xid), ...proof.values.map((v) => v.texts)]
}

/** Rows carry the lower 32 bits of their transaction's number. */
export function shortXid(xid: string): string {
  return (BigInt(xid) & 0xffffffffn).toString()
}
