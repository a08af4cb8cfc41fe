/** The rows of a step of db.insert_load that are on the target, and what proves them ours. */
import type { InspectContext } from '../../../core/skill.ts'
import type { DbClient, Queries } from '../client.ts'
import type { Dialect, Transactions } from '../dialect.ts'
import type { ProvenByHand, Removals } from '../verbs/writing.ts'
import type { Source } from './batch.ts'
import type { InsertStep } from './insert-step.ts'
import { countKeys, splitKeys } from './keys.ts'
import { keyNow } from './located.ts'
import type { Located, Renamed } from './located.ts'
import { ENOUGH, isTelling, STRONG, traitsOf } from './proof.ts'
import type { Ours, Proof } from './proof.ts'
import { anyProven } from './removal.ts'
import { fateOf } from './retry.ts'

/** Rows looked at or deleted in one statement, and of how many referring rows without an index one delete may read all. */
const PART = 10_000
const SCANNED = 2e8
/** Values written out for a person to run. */
const BY_HAND_BYTES = 64 * 1024

/** The rows of a step that are to be found on the target, in parts; none when nothing of it was committed. */
export async function oursOf(
  dialect: Dialect,
  { target }: InspectContext<DbClient>,
  step: InsertStep,
): Promise<Ours[]> {
  const { tables, transactions } = dialect
  const { keys, xid } = step
  if (keys === undefined || xid === undefined || keys.length === 0) return []
  if ((await fateOf(transactions, target, xid)) === 'aborted') return []
  const writer = await transactions.writer(target, xid)
  const parts: Ours[] = []
  for (const table of await tables.locate(target, step)) {
    await tables.requireOwnCode(target, table, { event: 'read', allowed: 'any', referring: true })
    parts.push(...(await partsIn(dialect, target, step, table, writer)))
  }
  // What wrote them may be another transaction of the same number.
  if ((await hasOtherHistory(transactions, target, step)) && !(await anyOfThem(dialect, target, parts))) {
    return parts.map((part) => ({ ...part, proof: { ...part.proof, writer: undefined } }))
  }
  return parts
}

/** The same in one table. `writer`: what rows carry that our transaction wrote. */
export async function partsIn(
  { equality, tables, removals }: Dialect,
  target: Queries,
  step: InsertStep,
  table: Located,
  writer: string | undefined,
): Promise<Ours[]> {
  const referencing = await tables.referencing(target, table)
  const unindexed = Math.max(1, ...referencing.filter((k) => !k.fromIndexed).map((k) => k.fromRows))
  const selfReferring = referencing.some((k) => k.from.id === table.id)
  // Rows that refer to each other must be looked at together.
  const size = selfReferring ? step.rows : Math.max(50, Math.min(PART, Math.floor(SCANNED / unindexed)))
  const renamed = await tables.columnsNow(target, table)
  const proof = proofOf(removals, step, table, writer, renamed)
  const now = keyNow(step.key, step.keys ?? [], renamed, equality)
  const { key } = now
  if (key.columns.length === 0) return [{ ...now, table, first: 0, proof: { ...proof, byKey: false }, referencing }]
  let first = 0
  return [...splitKeys(key, now.keys, size)].map((keys) => {
    const part = { table, key, keys, first, proof, referencing }
    first += countKeys(key, keys)
    return part
  })
}

/** What proves rows of this step ours in this table. */
function proofOf(
  { canShow }: Removals,
  step: InsertStep,
  table: Located,
  writer: string | undefined,
  renamed: Renamed,
): Proof {
  const { traits, rows } = traitsOf(step.recipe, step, renamed, canShow)
  const untouched = table.same && step.filenode != null && table.filenode === step.filenode
  return {
    byKey: isTellingKey(step) || (isPair(step) && untouched),
    writer: table.same ? writer : undefined,
    traits,
    enough: table.same ? ENOUGH.sameTable : ENOUGH.otherTable,
    made: step.in_order === true ? (position) => rows()[position] ?? [] : undefined,
    all: rows,
  }
}

function sourceOf({ recipe }: InsertStep, column: string): Source | undefined {
  return recipe.columns.find(({ name }) => name === column)?.source
}

/** Nobody else comes up with its keys, in whichever table. */
function isTellingKey(step: InsertStep): boolean {
  return step.key.columns.some(({ name }) => isTelling(sourceOf(step, name)))
}

/**
 * A pair of parents that was not there before is ours, also when the application has updated the row's other columns since:
 * as long as the table's rows are in the file that they were in.
 */
function isPair(step: InsertStep): boolean {
  const { columns } = step.key
  if (columns.length < 2 || step.recipe.columns.length <= columns.length) return false
  return columns.every(({ name }) => sourceOf(step, name)?.from === 'parent')
}

/**
 * A server that crashed before COMMIT, or goes on from a copy that did not have it, may have given the transaction's number
 * and the keys to the application.
 */
async function hasOtherHistory(
  transactions: Transactions,
  target: Queries,
  { server_start: start, timeline }: InsertStep,
): Promise<boolean> {
  const now = await transactions.history(target)
  return (start !== undefined && now.start !== start) || (timeline != null && now.timeline !== timeline)
}

/** Then at least one row must prove to be ours; where none could, the number has to do. */
async function anyOfThem({ removals }: Dialect, target: Queries, parts: readonly Ours[]): Promise<boolean> {
  let any: boolean | undefined
  for (const part of parts) {
    const proven = await anyProven(removals, target, part)
    if (proven) return true
    any ??= proven
  }
  return any ?? true
}

/** The same for a person: values are written out, so only a few columns that prove a row in whichever place it is. */
export function provenByHand(removals: Removals, step: InsertStep): ProvenByHand {
  const same = {
    same: true,
    detached: false,
    filenode: step.filenode ?? null,
    id: step.id,
    oid: step.oid,
    schema: step.schema,
    table: step.table,
  }
  const { traits, all } = proofOf(removals, step, same, undefined, (column) => ({
    ...column,
    type: '',
    cast: '',
    equality: '',
    equalities: [],
    integer: false,
  }))
  let room = BY_HAND_BYTES
  const values = traits.flatMap(({ column, bits }, i) => {
    if (bits < STRONG || room <= 0) return []
    const texts = all().flatMap((row) => row[i] ?? [])
    room -= texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 4, 0)
    return room < 0 ? [] : [{ column, texts }]
  })
  const pairsIn = isPair(step) ? (step.filenode ?? undefined) : undefined
  return { byKey: isTellingKey(step), pairsIn, values }
}
