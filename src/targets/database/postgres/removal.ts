/** Taking rows of ours out again, without touching a row of anybody else's. */
import type { Queries } from '../client.ts'
import type { Located } from '../rows/located.ts'
import type { ForeignKey } from '../rows/facts.ts'
import { countKeys, finder, keyCells, keyFrom } from '../rows/keys.ts'
import type { Finder, Key, Keys } from '../rows/keys.ts'
import { bitsInCommon, COMPARED, STRONG } from '../rows/proof.ts'
import type { Proof } from '../rows/proof.ts'
import type { Value } from '../rows/batch.ts'
import { quoteIdent, quoteTable } from './sql.ts'

/** Rows of ours by key, in a table as it is now. */
export interface Ours {
  table: Located
  /** As its columns are called now; without columns when one of them was dropped: then only the writer finds rows. */
  key: Key
  keys: Keys
  /** The number, in the batch, of the row that has the first of `keys`. */
  first: number
  /** What tells rows of ours from others that have the same keys now. */
  proof: Proof
  /** Foreign keys that refer to the table now. */
  referencing: readonly ForeignKey[]
}

type Params = (string | readonly (string | null)[])[]

/** Deletes those that nothing of others depends on. Run it in one READ COMMITTED transaction. */
export async function removeOurs(on: Queries, ours: Ours): Promise<void> {
  const proven = await provenByValues(on, ours)
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

/** How many rows have keys of ours, how many of those stay because of others, and names of some, those that stay first. */
export async function countOurs(
  on: Queries,
  ours: Ours,
  names: number,
): Promise<{ present: number; kept: number; names: string[][] }> {
  const proven = await provenByValues(on, ours)
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

/** Rows looked at for a sign that a transaction was ours. */
const SAMPLE = 200

/** Whether the values of any of the rows prove that it is ours; undefined where there are no values that could. */
export async function anyProven(on: Queries, ours: Ours): Promise<boolean | undefined> {
  const { traits, enough } = ours.proof
  if (traits.reduce((sum, { bits }) => sum + bits, 0) < enough) return undefined
  if (ours.key.columns.length === 0) return undefined
  const seen = await rowsOf(on, ours, finder(ours.key, ours.keys), `limit ${SAMPLE}`)
  return (await judge(on, ours, seen)).some(Boolean)
}

/**
 * The versions of rows that another transaction has written since, but whose values are ours: the application updated
 * them, or the table was written anew. As `tableoid ctid xmin`.
 */
async function provenByValues(on: Queries, ours: Ours): Promise<string[]> {
  const { byKey, writer, traits } = ours.proof
  if (byKey || traits.length === 0 || ours.key.columns.length === 0) return []
  const { from, where, params } = finder(ours.key, ours.keys)
  const others = writer === undefined ? where : `${where} and t.xmin <> $${params.length + 1}::text::xid`
  const seen = await rowsOf(on, ours, {
    ...{ from, where: others },
    params: writer === undefined ? params : [...params, writer],
  })
  const proven = await judge(on, ours, seen)
  return seen.flatMap(({ version }, i) => (proven[i] ? [version] : []))
}

const VERSION = `t.tableoid::text || ' ' || t.ctid::text || ' ' || t.xmin::text`

interface Seen {
  version: string
  key: string[]
  values: Value[]
}

async function rowsOf(
  on: Queries,
  { table, key, proof }: Ours,
  { from, where, params }: Finder,
  limit = '',
): Promise<Seen[]> {
  const cells = proof.traits.map(({ column }, i) => `left(t.${quoteIdent(column)}::text, ${COMPARED}) as v${i}`)
  const rows = await on.query(
    `select ${[`${VERSION} as version`, keyCells(key), ...cells].join(', ')}
       from ${quoteTable(table)} as t, ${from} where ${where} ${limit}`,
    params,
  )
  return rows.map((row) => ({
    version: row['version'] ?? '',
    key: keyFrom(key, row),
    values: proof.traits.map((_, i) => row[`v${i}`] ?? null),
  }))
}

/** Whether each row has the values that we gave the row with its key. */
async function judge(on: Queries, ours: Ours, seen: readonly Seen[]): Promise<boolean[]> {
  if (seen.length === 0) return []
  const { traits, enough, made, all } = ours.proof
  if (made === undefined) {
    // Rows were left out when they were inserted, and nobody knows which: a strong value proves a row wherever it is.
    const strong = traits.flatMap(({ bits }, i) => (bits < STRONG ? [] : [{ i, texts: textsOf(all(), i) }]))
    return seen.map(({ values }) => strong.some(({ i, texts }) => texts.has(values[i] ?? null)))
  }
  const positions = positionsOf(ours)
  const expected = seen.map(({ key }) => {
    const position = positions.get(JSON.stringify(key))
    return position === undefined ? [] : made(position)
  })
  const shown = await asShown(on, ours.proof, expected)
  return seen.map(({ values }, i) => bitsInCommon(traits, shown[i] ?? [], values) >= enough)
}

function textsOf(rows: readonly (readonly Value[])[], column: number): Set<Value> {
  return new Set(rows.map((row) => row[column]?.slice(0, COMPARED) ?? '').filter((text) => text !== ''))
}

/** Numbers of rows in the batch, by key. */
function positionsOf({ key, keys, first }: Ours): Map<string, number> {
  const positions = new Map<string, number>()
  let position = first
  for (const entry of keys) {
    const count = countKeys(key, [entry])
    for (let i = 0; i < count; i++) {
      const tuple = key.integer ? [String(BigInt(entry[0] ?? '0') + BigInt(i))] : entry
      positions.set(JSON.stringify(tuple), position++)
    }
  }
  return positions
}

/** Made-up texts in the form in which the server shows them. */
async function asShown(on: Queries, { traits }: Proof, rows: readonly (readonly Value[])[]): Promise<Value[][]> {
  const casts = traits.map(({ cast }, i) => `${cast === undefined ? `v${i}` : `v${i}::${cast}::text`} as v${i}`)
  if (traits.every(({ cast }) => cast === undefined)) return rows.map((row) => [...row])
  const arrays = traits.map((_, i) => `$${i + 1}::text[]`)
  const shown = await on.query(
    `select ${casts.join(', ')} from unnest(${arrays.join(', ')}) with ordinality
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
    refs
      .map((ref, i) => `o.${cell(ref)} ${equality[i] ?? 'OPERATOR(pg_catalog.=)'} ${column(columns[i] ?? '')}`)
      .join(' and ')
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
