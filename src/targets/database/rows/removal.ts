/** Which rows under our keys are taken out again, without touching a row of anybody else's. */
import type { Queries } from '../client.ts'
import type { Removals } from '../verbs/writing.ts'
import type { Value } from './batch.ts'
import { countKeys } from './keys.ts'
import { bitsInCommon, COMPARED, STRONG } from './proof.ts'
import type { Ours, SeenRow } from './proof.ts'

/** Deletes those that nothing of others depends on. Run it in one READ COMMITTED transaction. */
export async function removeOurs(removals: Removals, on: Queries, ours: Ours): Promise<void> {
  await removals.remove(on, ours, await provenByValues(removals, on, ours))
}

/** How many rows have keys of ours, how many of those stay because of others, and names of some, those that stay first. */
export async function countOurs(
  removals: Removals,
  on: Queries,
  ours: Ours,
  names: number,
): Promise<{ present: number; kept: number; names: string[][] }> {
  return removals.count(on, ours, await provenByValues(removals, on, ours), names)
}

/** Rows looked at for a sign that a transaction was ours. */
const SAMPLE = 200

/** Whether the values of any of the rows prove that it is ours; undefined where there are no values that could. */
export async function anyProven(removals: Removals, on: Queries, ours: Ours): Promise<boolean | undefined> {
  const { traits, enough } = ours.proof
  if (traits.reduce((sum, { bits }) => sum + bits, 0) < enough) return undefined
  if (ours.key.columns.length === 0) return undefined
  const seen = await removals.read(on, ours, { written: 'by anybody', limit: SAMPLE })
  return (await judge(removals, on, ours, seen)).some(Boolean)
}

/**
 * The versions of rows that another transaction has written since, but whose values are ours: the application updated
 * them, or the table was written anew.
 */
async function provenByValues(removals: Removals, on: Queries, ours: Ours): Promise<string[]> {
  const { byKey, traits } = ours.proof
  if (byKey || traits.length === 0 || ours.key.columns.length === 0) return []
  const seen = await removals.read(on, ours, { written: 'by others' })
  const proven = await judge(removals, on, ours, seen)
  return seen.flatMap(({ version }, i) => (proven[i] ? [version] : []))
}

/** Whether each row has the values that we gave the row with its key. */
async function judge(removals: Removals, on: Queries, ours: Ours, seen: readonly SeenRow[]): Promise<boolean[]> {
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
  const shown = await removals.asShown(on, traits, expected)
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
