/** Existing rows that new ones may refer to: sampled, counted, and looked at whether their keys reach us as they are. */
import type { Random } from '../../../core/random.ts'
import type { Queries } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import type { Samples } from '../verbs/reading.ts'
import type { Value } from './batch.ts'
import type { ForeignKey, Table } from './facts.ts'
import type { Parents } from './parents.ts'
import type { TableRef } from './table-ref.ts'

type Name = Pick<TableRef, 'schema' | 'table'>

/** Tuples of existing parents, at most `limit`, spread over the table; the same for the same seed. Empty when there are none. */
export async function sampleParents(
  samples: Samples,
  on: Queries,
  table: Name,
  parents: Parents,
  limit: number,
  random: Random,
): Promise<Value[][]> {
  const seed = random.fork(parents.columns.join()).int(2 ** 40)
  const sampled = await samples.parents(on, table, parents, { limit, pages: true, seed })
  if (isEnough(sampled.length, parents, limit)) return sampled
  return samples.parents(on, table, parents, { limit, pages: false, seed })
}

/** How many tuples a sample would have now, at most `limit`. */
export async function countParents(
  samples: Samples,
  on: Queries,
  table: Name,
  parents: Parents,
  limit: number,
): Promise<number> {
  const count = (pages: boolean): Promise<number> => samples.countParents(on, table, parents, { limit, pages, seed: 0 })
  const sampled = await count(true)
  return isEnough(sampled, parents, limit) ? sampled : Math.max(sampled, await count(false))
}

/** A sample by pages can miss a table that is smaller than it was, or come back short where most parents are used. */
function isEnough(found: number, { tables, unused }: Parents, limit: number): boolean {
  if (found >= limit || tables.every(({ percent }) => percent === undefined)) return true
  return found > 0 && !unused
}

/** Rows of a parent that are read to see whether their keys reach us as they are. */
const READ = 200_000

/** The table's foreign keys, marked where some of their parents have keys that do not reach us as they are. */
export async function markPlain(
  { catalog, samples, kindOf }: Dialect,
  reader: Queries,
  table: Table,
): Promise<{ table: Table; encoding?: string }> {
  const texts = (key: ForeignKey): boolean =>
    key.columns.some((name) => !ASCII.test(table.columns.find((c) => c.name === name)?.value.name ?? ''))
  const encoding = table.references.some(texts) ? await catalog.encoding(reader) : undefined
  if (encoding === undefined) return { table }
  const allReturn = ({ to, refs }: ForeignKey): Promise<boolean> =>
    samples.allExact(reader, to, refs, READ).catch((error: unknown) => {
      if (kindOf(error) !== 'unreadable') throw error
      return false
    })
  const references: ForeignKey[] = []
  for (const key of table.references) {
    const plain = texts(key) && !(await allReturn(key))
    references.push(plain ? { ...key, plain } : key)
  }
  return { table: { ...table, references }, encoding }
}

/** Types whose texts are ASCII. */
const ASCII = /^(int|uuid|numeric|float|date|time|bool|oid|bytea|inet|cidr|macaddr|interval)/
