/** db.update_load: overwrites values of existing rows; the undo puts each back where it is still ours. */
import { StaleError } from '../../../core/errors.ts'
import { seededRandom } from '../../../core/random.ts'
import type { InspectContext, Inspection } from '../../../core/skill.ts'
import type { DbClient, DbSession, Queries } from '../client.ts'
import type { DatabaseSkill, Dialect } from '../dialect.ts'
import type { LockedRow, Writing } from '../verbs/writing.ts'
import type { Value } from '../rows/batch.ts'
import { rowName } from '../rows/keys.ts'
import { keyNow } from '../rows/located.ts'
import type { Located } from '../rows/located.ts'
import type { RowState, Swap, SwapRow } from '../rows/swap.ts'
import { fateOf, stubbornly, uncommitted } from '../rows/retry.ts'
import { planUpdates } from '../rows/update-plan.ts'
import { updateParams, updateStep, updateToday } from '../rows/update-step.ts'
import type { UpdateParams, UpdateStep } from '../rows/update-step.ts'
import { bitsOf, wildMaker } from '../rows/values/value.ts'
import { namingBlockers } from '../rows/waiting.ts'

/** Rows put back in one transaction. */
const PART = 100
/** Bytes that a step's before-images and new values may take in the journal. */
const RECORD_BYTES = 700_000
/** Names reported at most. */
const NAMES = 20

export type { UpdateStep }

export const updateLoad: DatabaseSkill<UpdateParams, UpdateStep> = (dialect) => ({
  name: 'db.update_load',
  summary: 'Randomly UPDATE existing rows; rollback puts every value back that is still ours',
  params: updateParams,
  step: updateStep,
  version: 2,
  readOld: (step) => updateToday(step, dialect.typeSize),
  scope: 'resource',
  phase: 'data',
  failsafe: 'none',

  // At least one row for each table, so that none goes unseen.
  asks: (resources) => [{ params: { rows: Math.max(100, resources.filter((r) => r.kind === 'table').length) } }],

  plan: (ctx, params) => planUpdates(dialect, ctx, params),

  async apply({ target, mark, clock, signal, record }, step) {
    const session = await target.session(mark, signal)
    try {
      const named = () =>
        namingBlockers(dialect.watchBlockers(target, session.pid, clock, 200), dialect.kindOf, () =>
          update(dialect, session, step),
        )
      await record(await uncommitted(dialect, session, named))
      await dialect.transactions.commit(session)
    } finally {
      await session.close()
    }
  },

  async inspect(ctx, step) {
    const swaps = await swapsOf(dialect, ctx, step)
    const seen: Inspection = { inEffect: 0, restored: 0, foreign: 0 }
    if (step.pure) return { ...seen, load: step.changed?.length ?? 0 }
    const names: string[] = []
    for (const swap of swaps) {
      const states = await dialect.updates.states(ctx.target, swap)
      const strays = await swapStraying(dialect, ctx, swap, states)
      const count = (state: RowState): number => states.filter((s) => s === state).length
      seen.inEffect += count('ours') + strays
      // A row that somebody deleted has nothing left to put back.
      seen.restored += count('restored')
      seen.foreign += count('foreign')
      names.push(
        ...swap.rows
          .filter((_, i) => states[i] === 'ours' || states[i] === 'foreign')
          .map((row) => rowName(step.id, row.key)),
      )
    }
    return swaps.length === 0 ? seen : { ...seen, names: names.slice(0, NAMES) }
  },

  async revert(ctx, step) {
    if (step.pure) return
    for (const swap of await swapsOf(dialect, ctx, step)) {
      for (let i = 0; i < swap.rows.length && swap.key.columns.length > 0; i += PART) {
        ctx.signal.throwIfAborted()
        const part = { ...swap, rows: swap.rows.slice(i, i + PART) }
        const what = `${step.id} (rows ${rowName('', part.rows[0]?.key ?? []).trim()} …)`
        await stubbornly(dialect, ctx, what, () =>
          ctx.target.transaction(async (tx) => {
            await lockForUndo(dialect, tx, swap, step)
            await dialect.updates.swapBack(tx, part)
          }),
        )
        await ctx.progress({})
      }
      const states = await dialect.updates.states(ctx.target, swap)
      const writing: Writing = (work) =>
        ctx.target.transaction(async (tx) => {
          await lockForUndo(dialect, tx, swap, step)
          return work(tx)
        })
      await stubbornly(dialect, ctx, step.id, () => swapStraying(dialect, ctx, swap, states, writing))
    }
  },

  byHand: (step, { config }) => dialect.byHand.swapBack(config, step),
})

async function update(
  { tables, transactions, updates }: Dialect,
  session: DbSession,
  step: UpdateStep,
): Promise<Partial<UpdateStep>> {
  await tables.lockAsPlanned(session, step, { update: step.columns[0]?.name ?? '' })
  await tables.refuseForeignCode(session, step, { beside: false })
  const rows = fitting(step, await updates.lockRows(session, step))
  if (rows.length === 0) throw new StaleError(`none of the rows planned in ${step.id} is there any more`)
  const keys = rows.map(({ at }) => step.keys[at] ?? [])
  const written = await updates.overwrite(session, { ...step, keys }, step.pure ? undefined : newValues(step, rows))
  if (written.size !== rows.length) throw new StaleError(`rows of ${step.id} vanished while they were locked`)
  const facts = { changed: rows.map((r) => r.at), xid: await transactions.current(session) }
  if (step.pure) return facts
  const parts = (await tables.isPartitioned(session, step.oid))
    ? { parts: await tables.partsWith(session, step, step.key, keys) }
    : {}
  return { ...facts, ...parts, before: rows.map((r) => r.before), ours: rows.map((_, i) => written.get(i) ?? []) }
}

/** As many as the journal takes in one record; values may have grown since the plan. */
function fitting(step: UpdateStep, rows: LockedRow[]): LockedRow[] {
  let bytes = 0
  return rows.filter(({ before }) => {
    const size = Buffer.byteLength(JSON.stringify(before)) + 100 * step.columns.length
    if (bytes + size > RECORD_BYTES) return false
    bytes += size
    return true
  })
}

/** Values that differ from row to row and from what is there, by column. */
function newValues({ columns, seed }: UpdateStep, rows: LockedRow[]): Value[][] {
  const random = seededRandom(seed)
  return columns.map(({ name, value }, i) => {
    const make = wildMaker(value, random.fork(name))
    return rows.map(({ before }) => another(make, before[i] ?? null))
  })
}

function another(make: () => string, before: Value): string {
  for (let i = 0; i < 10; i++) {
    const value = make()
    if (value !== before) return value
  }
  return make()
}

/**
 * What is to be put back, in the table as it is called now and in one that has its name now; empty when nothing was
 * committed or all is gone. A value of ours proves a row wherever it is under its key.
 */
async function swapsOf(dialect: Dialect, { target }: InspectContext<DbClient>, step: UpdateStep): Promise<Swap[]> {
  const { changed, before = [], ours = [], xid } = step
  if (changed === undefined || xid === undefined || step.pure) return []
  if ((await fateOf(dialect.transactions, target, xid)) === 'aborted') return []
  const rows = changed.map((at, i): SwapRow => ({
    key: step.keys[at] ?? [],
    before: before[i] ?? [],
    ours: ours[i] ?? [],
  }))
  const swaps: Swap[] = []
  for (const table of await dialect.tables.locate(target, step))
    swaps.push(...(await swapIn(dialect, target, step, table, rows)))
  return swaps
}

/** Empty when no column is left that was changed. */
async function swapIn(
  { equality, tables, updates }: Dialect,
  target: Queries,
  step: UpdateStep,
  table: Located,
  rows: readonly SwapRow[],
): Promise<Swap[]> {
  await tables.requireOwnCode(target, table, { event: 'read', allowed: 'any', referring: false })
  const renamed = await tables.columnsNow(target, table)
  const { key } = keyNow(step.key, [], renamed, equality)
  const left = step.columns.flatMap((column, at) => {
    const now = renamed(column)
    return now ? [{ at, name: now.name, type: now.type, then: column.type, value: column.value }] : []
  })
  if (left.length === 0) return []
  const columns = left.map(({ name, type, value }) => ({ name, type, bits: bitsOf(value) }))
  const kept = rows.map((row) => ({
    key: row.key,
    before: left.map(({ at }) => row.before[at] ?? null),
    ours: left.map(({ at }) => row.ours[at] ?? null),
  }))
  return [{ table, key, columns, rows: await updates.asTyped(target, left, kept) }]
}

/** Before each statement of the undo that writes. */
async function lockForUndo(
  { tables }: Dialect,
  tx: Queries,
  { table, columns }: Swap,
  step: UpdateStep,
): Promise<void> {
  const names = columns.map(({ name }) => name)
  await tables.lockDefinition(tx, table, names[0])
  const event = { update: names }
  await tables.requireOwnCode(tx, table, { event, allowed: step.trigger_functions ?? [], referring: false })
}

/** Rows that are not under their key, or hold nothing that we know, may be ours under another key. */
async function swapStraying(
  { updates }: Dialect,
  { target, signal }: InspectContext<DbClient>,
  swap: Swap,
  states: readonly RowState[],
  writing?: Writing,
): Promise<number> {
  const rows = swap.rows.filter((_, i) => states[i] === 'gone' || states[i] === 'foreign')
  if (rows.length === 0) return 0
  return updates.swapStrays(target, { ...swap, rows }, { writing, signal })
}
