/** Choosing tables for db.insert_load and cutting the load into batches; changes nothing. */
import type { Plan, PlanContext, Planned } from '../../../core/skill.ts'
import type { DbReader } from '../client.ts'
import type { Dialect } from '../dialect.ts'
import { readCatalog } from './catalog.ts'
import type { Privilege, Table } from './facts.ts'
import { Headroom, tooManyKeys } from './headroom.ts'
import { cook } from './recipe.ts'
import type { Cooked } from './recipe.ts'
import { refuseOnReplica } from './replica.ts'
import { rowsMark, rowsMarked } from './room.ts'
import { refusal, skippedFor, tablesFor, unfitForDeletes, unfitForWrites, unreadable } from './suitable.ts'
import type { Unfit } from './suitable.ts'
import { firing, firingNotes } from './triggers.ts'
import type { InsertParams, InsertStep } from './insert-step.ts'
import { resolveTables } from './names.ts'
import type { TableRef } from './table-ref.ts'

/** All of them: the undo locks rows before it deletes them, which needs UPDATE. */
const NEEDS: readonly Privilege[] = ['USAGE', 'SELECT', 'INSERT', 'UPDATE', 'DELETE']

const BATCH = { integer: 10_000, other: 2_000 }
/** Bytes that the keys of a batch may take in the journal, with something to spare below 1 MiB. */
const KEYS_BYTES = 900_000
/** Referring rows that an undo without an index may have to read: above, the skill does not pick the table by itself. */
const TOO_SLOW = 1e10
/** Referring rows worth a note. */
const SLOW = 10_000

interface Chosen extends Cooked {
  table: Table
}

export async function planInserts(
  dialect: Dialect,
  ctx: PlanContext<DbReader>,
  params: InsertParams,
): Promise<Plan<InsertStep>> {
  await refuseOnReplica(dialect.isReplica(ctx.target), 'db.insert_load', 'writes rows')
  const named = params.tables && (await resolveTables(dialect.catalog, ctx.target, ctx.all, params.tables))
  const { chosen, unfit, headroom } = await choose(dialect, ctx, params, named)
  const [refused] = named ? unfit : []
  if (refused) throw refusal('db.insert_load', ...refused)
  const ordered = parentsFirst(chosen)
  return {
    steps: ordered.flatMap((one) => batches(one, params, ctx, headroom)),
    skipped: [...unfit].map(([table, why]) => skippedFor(table, why)),
    notes: [
      ...ordered.flatMap(({ table, rows, short }) => [
        ...firingNotes(table, 'insert', ctx.target.role),
        ...notes(table, rows),
        ...(short === undefined ? [] : [short]),
      ]),
      ...headroom.notes(),
    ],
  }
}

/** Goes over the candidates until nothing more can be had: a table may need rows of one that comes later. */
async function choose(
  dialect: Dialect,
  ctx: PlanContext<DbReader>,
  params: InsertParams,
  named: TableRef[] | undefined,
): Promise<{ chosen: Chosen[]; unfit: Map<TableRef, Unfit>; headroom: Headroom }> {
  const { candidates, aside, most } = tablesFor(ctx, named)
  const catalog = await readCatalog(dialect, ctx.target, candidates)
  const tables = [...catalog.known.values()].map(({ oid }) => oid)
  const headroom = new Headroom(await dialect.catalog.numbers(ctx.target, tables), ctx.taken)
  const chosen: Chosen[] = []
  const filled = new Map<string, number>()
  const unfit = new Map<TableRef, Unfit>(aside)
  /** Tables with room for fewer rows wait: new rows of a parent may make more. */
  const waiting = new Map<TableRef, Chosen>()
  const accept = (ref: TableRef, cooked: Chosen): void => {
    waiting.delete(ref)
    const over = tooManyKeys(cooked.recipe, cooked.rows)
    const short = over ?? headroom.take(ref.id, cooked.recipe, batchRows(cooked, params))
    if (short) {
      unfit.set(ref, short)
      return
    }
    unfit.delete(ref)
    chosen.push(cooked)
    filled.set(ref.id, cooked.rows)
  }
  for (let before = -1; before < chosen.length;) {
    before = chosen.length
    for (const ref of candidates) {
      ctx.signal.throwIfAborted()
      if (chosen.length >= most) return { chosen, unfit, headroom }
      if (filled.has(ref.id)) continue
      const table = catalog.known.get(ref.id) ?? catalog.unreadable.get(ref.id)
      const cooked = await judge(dialect, ctx, params, table, { named: named !== undefined, filled })
      if ('reason' in cooked) {
        unfit.set(ref, cooked)
        waiting.delete(ref)
      } else if (cooked.short !== undefined) waiting.set(ref, cooked)
      else accept(ref, cooked)
    }
    if (chosen.length > before) continue
    for (const [ref, cooked] of waiting) if (chosen.length < most) accept(ref, cooked)
  }
  return { chosen, unfit, headroom }
}

async function judge(
  dialect: Dialect,
  { target, random, taken }: PlanContext<DbReader>,
  { rows_per_table: rows, triggers }: InsertParams,
  table: Table | Unfit | undefined,
  { named, filled }: { named: boolean; filled: ReadonlyMap<string, number> },
): Promise<Chosen | Unfit> {
  if (!table) return { reason: 'it is gone' }
  if ('reason' in table) return table
  const unfit =
    unfitForWrites(dialect, table, 'insert', NEEDS, target.role, triggers) ??
    unfitForDeletes(dialect, table, target.role)
  if (unfit) return unfit
  const slow = table.referencedBy.find((k) => !k.fromIndexed && k.fromRows * rows > TOO_SLOW)
  if (slow && !named) {
    return {
      reason: `without an index on ${slow.from.id} (${slow.columns.join(', ')}) taking the rows back would take too long`,
    }
  }
  try {
    const cooked = await cook(
      dialect,
      target,
      table,
      { rows, before: rowsMarked(taken, table.id) },
      filled,
      random.fork(table.id),
    )
    return typeof cooked === 'string' ? { reason: cooked } : { ...cooked, table }
  } catch (error) {
    return unreadable(dialect, error)
  }
}

/** A table after those it refers to, where that is possible. */
function parentsFirst(chosen: readonly Chosen[]): Chosen[] {
  const ordered: Chosen[] = []
  const visited = new Set<Chosen>()
  const visit = (one: Chosen): void => {
    if (visited.has(one)) return
    visited.add(one)
    for (const key of one.table.references) {
      const parent = chosen.find((other) => other.table.id === key.to.id)
      if (parent) visit(parent)
    }
    ordered.push(one)
  }
  chosen.forEach(visit)
  return ordered
}

/** The rows of each batch. */
function batchRows({ table, key, keyBytes, rows: total }: Chosen, { batch_rows }: InsertParams): number[] {
  const wanted = batch_rows ?? (key.integer ? BATCH.integer : BATCH.other)
  // Rows that may refer to each other are taken back together, so such a batch stays small.
  const most = table.references.some((k) => k.to.id === table.id) ? BATCH.integer : Infinity
  const size = Math.max(1, Math.min(wanted, most, Math.floor(KEYS_BYTES / keyBytes)))
  return Array.from({ length: Math.ceil(total / size) }, (_, batch) => Math.min(size, total - batch * size))
}

function batches(
  chosen: Chosen,
  params: InsertParams,
  { random }: PlanContext<DbReader>,
  headroom: Headroom,
): Planned<InsertStep>[] {
  const { table, recipe, parents, key, counter, common, collisions } = chosen
  const sizes = batchRows(chosen, params)
  const [size = 0] = sizes
  const crowded =
    recipe.picks.some(({ how }) => how === 'each') ||
    recipe.columns.some(({ source }) => source.from === 'value' && source.unique && source.type.labels)
  const seed = random
    .fork(`${table.id}/rows`)
    .int(2 ** 48)
    .toString(36)
  const neighbours = [...table.references.map((k) => k.to.id), ...table.referencedBy.map((k) => k.from.id)]
  const { id, schema, table: name, oid, shape } = table
  const fires = firing(table, 'insert')
  return sizes.map((rows, batch) => {
    const first = batch * size
    const takes = [
      ...headroom.marks(id, recipe, `${seed}/${batch}`, rows),
      ...(crowded ? [rowsMark(id, rows, `${seed}/${batch}`)] : []),
    ]
    return {
      resource: id,
      touches: [...new Set([id, ...neighbours])],
      ...(takes.length > 0 ? { takes } : {}),
      rows,
      describe: `insert ${rows === 1 ? '1 row' : `${rows} rows`} into ${id}${sizes.length > 1 ? ` (batch ${batch + 1} of ${sizes.length})` : ''}`,
      step: {
        ...{ id, schema, table: name, oid, shape, key, common },
        ...(counter === undefined ? {} : { counter }),
        ...(fires.length === 0 ? {} : { triggers: 'allow' as const, trigger_functions: fires.map((t) => t.function) }),
        ...{ collisions, seed, batch, first, rows, recipe, parents },
      },
    }
  })
}

function notes(table: Table, rows: number): string[] {
  return table.referencedBy
    .filter((k) => !k.fromIndexed && k.fromRows >= SLOW)
    .map(
      (k) =>
        `taking back ${rows} rows of ${table.id} reads all of ${k.from.id} for each of them: there is no index on its ${k.columns.join(', ')}`,
    )
}
