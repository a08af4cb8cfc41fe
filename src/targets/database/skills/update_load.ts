/** db.update_load: overwrites values of existing rows; the undo puts each back where it is still ours. */
import { seededRandom } from '../../../core/random.ts'
import { StaleError } from '../../../core/errors.ts'
import type { DatabaseSkill } from '../dialect.ts'
import type { InspectContext, Inspection, SkillSpec } from '../../../core/skill.ts'
import { locateTables, lockAsPlanned, partsWith } from '../postgres/catalog/tables.ts'
import type { Located } from '../postgres/catalog/tables.ts'
import { inPsql, literal, remark } from '../postgres/by-hand/psql.ts'
import type { DbClient, DbReader, DbSession, Queries } from '../client.ts'
import { returnsExactly } from '../postgres/catalog/encoding.ts'
import { fateOf, stubbornly, uncommitted } from '../postgres/fate.ts'
import { finder, keyByHand, rowName } from '../rows/keys.ts'
import { watchBlockers } from '../postgres/blockers.ts'
import { kindOf } from '../postgres/errors.ts'
import { namingBlockers } from '../rows/waiting.ts'
import { lockDefinition, refuseForeignCode, requireOwnCode } from '../postgres/catalog/own-code.ts'
import type { Value } from '../rows/batch.ts'
import { quoteIdent, quoteTable } from '../postgres/sql.ts'
import { asRecorded } from '../postgres/by-hand/recorded-names.ts'
import { columnsNow, keyNow } from '../postgres/catalog/renamed.ts'
import { asTyped, statesOf, swapBack, swapStrays } from '../postgres/swap.ts'
import type { RowState, Swap, SwapRow, Write } from '../postgres/swap.ts'
import { planUpdates, updateParams, updateStep, updateToday } from '../rows/update-plan.ts'
import type { UpdateParams, UpdateStep } from '../rows/update-plan.ts'
import { bitsOf, wildMaker } from '../rows/values/value.ts'

/** Rows put back in one transaction. */
const PART = 100
/** Bytes that a step's before-images and new values may take in the journal. */
const RECORD_BYTES = 700_000
/** Names reported at most. */
const NAMES = 20

export type { UpdateStep }

export const updateLoad: DatabaseSkill<UpdateParams, UpdateStep> = (
  dialect,
): SkillSpec<DbReader, DbClient, UpdateParams, UpdateStep> => ({
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

  plan: planUpdates,

  async apply({ target, mark, clock, signal, record }, step) {
    const session = await target.session(mark, signal)
    try {
      const named = () =>
        namingBlockers(watchBlockers(target, session.pid, clock, 200), kindOf, () => update(session, step))
      await record(await uncommitted(session, named))
      await session.query('commit')
    } finally {
      await session.close()
    }
  },

  async inspect(ctx, step) {
    const swaps = await swapsOf(ctx, step)
    const seen: Inspection = { inEffect: 0, restored: 0, foreign: 0 }
    if (step.pure) return { ...seen, load: step.changed?.length ?? 0 }
    const names: string[] = []
    for (const swap of swaps) {
      const states = await statesOf(ctx.target, swap)
      const strays = await swapStraying(ctx, swap, states)
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
    for (const swap of await swapsOf(ctx, step)) {
      for (let i = 0; i < swap.rows.length && swap.key.columns.length > 0; i += PART) {
        ctx.signal.throwIfAborted()
        const part = { ...swap, rows: swap.rows.slice(i, i + PART) }
        const what = `${step.id} (rows ${rowName('', part.rows[0]?.key ?? []).trim()} …)`
        await stubbornly(ctx, what, () =>
          ctx.target.transaction(async (tx) => {
            await lockForUndo(tx, swap, step)
            await swapBack(tx, part)
          }),
        )
        await ctx.progress({})
      }
      const states = await statesOf(ctx.target, swap)
      const write: Write = (sql, params) =>
        ctx.target.transaction(async (tx) => {
          await lockForUndo(tx, swap, step)
          return tx.query(sql, params)
        })
      await stubbornly(ctx, step.id, () => swapStraying(ctx, swap, states, write))
    }
  },

  byHand(step, { config }) {
    const { changed = [], pure } = step
    if (pure || changed.length === 0) {
      return { lines: [remark(`no value of ${step.id} was changed: there is nothing to do`)], holdsValues: false }
    }
    const names = asRecorded(step, [...step.key.columns, ...step.columns])
    const what = remark(`puts values of ${changed.length} rows of ${step.id} back, each where it is still ours`)
    return { lines: [what, ...inPsql(config, [names, 'begin;', ...updatesByHand(step), 'commit;'])], holdsValues: true }
  },
})

/** A statement for each value, so that a person can read what it does. */
function updatesByHand({
  schema,
  table,
  key,
  keys,
  columns,
  changed = [],
  before = [],
  ours = [],
}: UpdateStep): string[] {
  return changed.flatMap((at, i) => {
    const row = keyByHand(key).columns.map(
      (c, k) => `t.${quoteIdent(c.name)} ${c.equality} ${literal(keys[at]?.[k] ?? '')}::${c.type}`,
    )
    return columns.map(({ name }, c) => {
      const column = quoteIdent(name)
      const isOurs = `t.${column}::text collate "C" = ${literal(ours[i]?.[c] ?? null)}`
      const back = `${column} = ${literal(before[i]?.[c] ?? null)}`
      return `update ${quoteTable({ schema, table })} as t set ${back} where ${[...row, isOurs].join(' and ')};`
    })
  })
}

async function update(session: DbSession, step: UpdateStep): Promise<Partial<UpdateStep>> {
  await lockAsPlanned(session, step, { update: step.columns[0]?.name ?? '' })
  await refuseForeignCode(session, step, { beside: false })
  const rows = fitting(step, await lockRows(session, step))
  if (rows.length === 0) throw new StaleError(`none of the rows planned in ${step.id} is there any more`)
  const written = await write(session, step, rows)
  const [row] = await session.query<{ xid: string; parted: string | null }>(
    `select pg_current_xact_id()::text as xid, (select 'p' from pg_class c where c.oid = $1::oid and c.relkind = 'p') as parted`,
    [step.oid],
  )
  const facts = { changed: rows.map((r) => r.at), xid: row?.xid ?? '' }
  if (step.pure) return facts
  const keys = rows.map(({ at }) => step.keys[at] ?? [])
  const parts = row?.parted == null ? {} : { parts: await partsWith(session, step, step.key, keys) }
  return { ...facts, ...parts, before: rows.map((r) => r.before), ours: rows.map((r) => written.get(r.at) ?? []) }
}

interface Locked {
  /** Which of the step's keys. */
  at: number
  before: Value[]
}

/** In the order of their keys, so that two of us do not wait for each other. */
async function lockRows(on: Queries, { table, schema, key, keys, columns }: UpdateStep): Promise<Locked[]> {
  const { from, where, params } = finder(key, keys)
  const cells = columns.map(({ name }, i) => `t.${quoteIdent(name)}::text as c${i}`)
  const order = key.columns.map((c) => `t.${quoteIdent(c.name)}`)
  const exact = columns.map(({ name }) => `${returnsExactly(`t.${quoteIdent(name)}::text`)} is not false`)
  const rows = await on.query(
    `select r.ord::text as ord, (${exact.join(' and ')})::text as exact, ${cells.join(', ')}
       from ${quoteTable({ schema, table })} as t, ${from}
      where ${where} order by ${order.join(', ')} for no key update of t`,
    params,
  )
  // A text that has become one since the plan that would not go back as it was.
  const able = rows.filter((row) => row['exact'] === 'true')
  return able.map((row) => ({ at: Number(row['ord']) - 1, before: columns.map((_, i) => row[`c${i}`] ?? null) }))
}

/** As many as the journal takes in one record; values may have grown since the plan. */
function fitting(step: UpdateStep, rows: Locked[]): Locked[] {
  let bytes = 0
  return rows.filter(({ before }) => {
    const size = Buffer.byteLength(JSON.stringify(before)) + 100 * step.columns.length
    if (bytes + size > RECORD_BYTES) return false
    bytes += size
    return true
  })
}

/** Writes values that differ from row to row and from what is there; returns them as the server has them. */
async function write(session: DbSession, step: UpdateStep, rows: Locked[]): Promise<Map<number, Value[]>> {
  const { key, keys, columns } = step
  const { from, where, params } = finder(
    key,
    rows.map(({ at }) => keys[at] ?? []),
  )
  const random = seededRandom(step.seed)
  const made = columns.map(({ name, value }, i) => {
    const make = step.pure ? undefined : wildMaker(value, random.fork(name))
    return rows.map(({ before }) => (make ? another(make, before[i] ?? null) : null))
  })
  const arrays = columns.map((_, i) => `$${params.length + 1 + i}::text[]`)
  const names = columns.map((_, i) => `n${i}`)
  const sets = columns.map(({ name, type }, i) => {
    return `${quoteIdent(name)} = ${step.pure ? `t.${quoteIdent(name)}` : `v.n${i}::${type}`}`
  })
  const written = await session.query(
    `update ${quoteTable(step)} as t set ${sets.join(', ')} from ${from}
       join unnest(${arrays.join(', ')}) with ordinality as v(${names.join(', ')}, ord) using (ord)
      where ${where} returning r.ord::text as ord, ${columns.map(({ name }, i) => `t.${quoteIdent(name)}::text as c${i}`).join(', ')}`,
    [...params, ...made],
  )
  if (written.length !== rows.length) throw new StaleError(`rows of ${step.id} vanished while they were locked`)
  return new Map(
    written.map((row) => [rows[Number(row['ord']) - 1]?.at ?? -1, columns.map((_, i) => row[`c${i}`] ?? null)]),
  )
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
async function swapsOf({ target }: InspectContext<DbClient>, step: UpdateStep): Promise<Swap[]> {
  const { changed, before = [], ours = [], xid } = step
  if (changed === undefined || xid === undefined || step.pure) return []
  if ((await fateOf(target, xid)) === 'aborted') return []
  const rows = changed.map((at, i): SwapRow => ({
    key: step.keys[at] ?? [],
    before: before[i] ?? [],
    ours: ours[i] ?? [],
  }))
  const swaps: Swap[] = []
  for (const table of await locateTables(target, step)) swaps.push(...(await swapIn(target, step, table, rows)))
  return swaps
}

/** Empty when no column is left that was changed. */
async function swapIn(target: Queries, step: UpdateStep, table: Located, rows: readonly SwapRow[]): Promise<Swap[]> {
  await requireOwnCode(target, table, { event: 'read', allowed: 'any', referring: false })
  const renamed = await columnsNow(target, table)
  const { key } = keyNow(step.key, [], renamed)
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
  return [{ table, key, columns, rows: await asTyped(target, left, kept) }]
}

/** Before each statement of the undo that writes. */
async function lockForUndo(tx: Queries, { table, columns }: Swap, step: UpdateStep): Promise<void> {
  const names = columns.map(({ name }) => name)
  await lockDefinition(tx, table, names[0])
  const event = { update: names }
  await requireOwnCode(tx, table, { event, allowed: step.trigger_functions ?? [], referring: false })
}

/** Rows that are not under their key, or hold nothing that we know, may be ours under another key. */
async function swapStraying(
  { target, signal }: InspectContext<DbClient>,
  swap: Swap,
  states: readonly RowState[],
  write?: Write,
): Promise<number> {
  const rows = swap.rows.filter((_, i) => states[i] === 'gone' || states[i] === 'foreign')
  if (rows.length === 0) return 0
  return swapStrays(target, { ...swap, rows }, { write, signal })
}
