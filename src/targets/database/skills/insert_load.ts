/** db.insert_load: bulk-inserts rows into tables; the undo deletes exactly those rows, by the keys that came back. */
import { StepError } from '../../../core/errors.ts'
import type { InspectContext, Inspection, SkillSpec } from '../../../core/skill.ts'
import { loadReferencing, locateTable, lockAsPlanned } from '../catalog.ts'
import { inPsql, remark } from '../by-hand.ts'
import type { DbClient, DbReader, DbSession } from '../client.ts'
import { deleteByHand } from '../delete-by-hand.ts'
import { fateOf, stubbornly, uncommitted } from '../fate.ts'
import { insertBatch } from '../insert.ts'
import { insertParams, insertStep, planInserts } from '../insert-plan.ts'
import type { InsertParams, InsertStep } from '../insert-plan.ts'
import { countKeys, rowName, splitKeys } from '../keys.ts'
import type { Keys } from '../keys.ts'
import { SAMPLE, sampleParents } from '../parents.ts'
import { anyProven, countOurs, removeOurs } from '../removal.ts'
import type { Ours } from '../removal.ts'
import { makeColumn } from '../rows.ts'
import { quoteIdent } from '../sql.ts'
import { recognisable } from '../values.ts'

/** Rows looked at or deleted in one statement, and of how many referring rows without an index one delete may read all. */
const PART = 10_000
const SCANNED = 2e8
/** Names reported at most. */
const NAMES = 20

export type { InsertStep }

export const insertLoad: SkillSpec<DbReader, DbClient, InsertParams, InsertStep> = {
  name: 'db.insert_load',
  summary: 'Bulk INSERT random rows into tables; rollback deletes exactly those rows',
  params: insertParams,
  step: insertStep,
  version: 1,
  scope: 'resource',
  phase: 'data',
  failsafe: 'none',

  plan: planInserts,

  async apply({ target, mark, signal, record }, step) {
    const session = await target.session(mark, signal)
    try {
      await record(await uncommitted(session, (attempt) => insertOnce(session, step, target.searchPath, attempt)))
      await session.query('commit')
    } finally {
      await session.close()
    }
  },

  async inspect(ctx, step) {
    const parts = await oursOf(ctx, step)
    const seen: Inspection = { inEffect: 0, restored: 0, foreign: 0, names: [] }
    for (const ours of parts) {
      ctx.signal.throwIfAborted()
      const { present, kept, names } = await countOurs(ctx.target, ours, NAMES - (seen.names?.length ?? 0))
      seen.inEffect += present - kept
      seen.foreign += kept
      seen.restored += countKeys(step.key, ours.keys) - present
      seen.names?.push(...names.map((tuple) => rowName(step.id, tuple)))
    }
    return seen
  },

  async revert(ctx, step) {
    for (const ours of await oursOf(ctx, step)) {
      ctx.signal.throwIfAborted()
      await stubbornly(ctx, `rows of ${step.id}`, () => ctx.target.transaction((tx) => removeOurs(tx, ours)))
      await ctx.progress({})
    }
  },

  byHand(step, { config }) {
    const { keys = [], xid, server_start: since } = step
    if (xid === undefined || keys.length === 0) {
      return { lines: [remark(`nothing was committed to ${step.id}: there is nothing to do`)], holdsValues: false }
    }
    const restarted = since === undefined ? {} : { restarted: { since, values: ownValues(step) } }
    const { schema, table, key, common } = step
    const statement = deleteByHand({ schema, table, key, keys, xid, common, ...restarted })
    const what = remark(
      `deletes ${countKeys(key, keys)} rows of ${step.id} by their keys, but none that others refer to`,
    )
    return { lines: [what, ...inPsql(config, [statement])], holdsValues: false }
  },
}

async function insertOnce(session: DbSession, step: InsertStep, searchPath: readonly string[], attempt: number) {
  await lockAsPlanned(session, step, { delete: true })
  // Defaults and CHECKs of the application may call functions that rely on its path. Ours are qualified.
  if (searchPath.length > 0) await session.query(`set local search_path to ${searchPath.map(quoteIdent).join(', ')}`)
  const parents = []
  for (const group of step.parents) {
    parents.push(await sampleParents(session, step, group, group.unused ? step.rows : SAMPLE))
  }
  // Rows that should collide with nobody's have done so when this is not the first attempt.
  const direct = step.collisions === 'none' && attempt === 1
  const skipCollisions = step.collisions !== 'fail' && !direct
  const keys = await insertBatch(session, step, { ...step, skipCollisions, direct }, parents)
  refuseOversize(step, keys)
  const [row] = await session.query<{ xid: string; start: string }>(
    'select pg_current_xact_id()::text as xid, pg_postmaster_start_time()::text as start',
  )
  const facts = { keys, xid: row?.xid ?? '' }
  return (await flushLog(session)) ? facts : { ...facts, server_start: row?.start ?? '' }
}

/**
 * Makes the server's log durable up to here, with our transaction's number and what the sequences gave us in it: then
 * even a server that crashes before COMMIT gives neither out again. Only version 17 and later can be told to.
 */
async function flushLog(session: DbSession): Promise<boolean> {
  const [able] = await session.query<{ ok: string | null }>(
    `select has_function_privilege(to_regprocedure('pg_logical_emit_message(boolean,text,text,boolean)'), 'EXECUTE')::text as ok`,
  )
  if (able?.ok !== 'true') return false
  await session.query(`select pg_logical_emit_message(false, 'chaos-agents', '', true)`)
  return true
}

/** A record takes 1 MiB. The plan estimates; keys that the server makes up may be longer than any estimate. */
function refuseOversize(step: InsertStep, keys: Keys): void {
  if (Buffer.byteLength(JSON.stringify(keys)) < 1_000_000) return
  throw new StepError('STEP_FAILED', `the keys of ${step.rows} rows of ${step.id} are too long; set batch_rows lower`)
}

/** The rows of a step that are to be found on the target, in parts; none when nothing of it was committed. */
async function oursOf({ target }: InspectContext<DbClient>, step: InsertStep): Promise<Ours[]> {
  const { keys, xid } = step
  if (keys === undefined || xid === undefined || keys.length === 0) return []
  if ((await fateOf(target, xid)) === 'aborted') return []
  const table = await locateTable(target, step)
  if (!table) return []
  const referencing = await loadReferencing(target, table)
  const unindexed = Math.max(1, ...referencing.filter((k) => !k.fromIndexed).map((k) => k.fromRows))
  const selfReferring = referencing.some((k) => k.from.id === table.id)
  // Rows that refer to each other must be looked at together.
  const size = selfReferring ? step.rows : Math.max(50, Math.min(PART, Math.floor(SCANNED / unindexed)))
  const proof = step.common ? { xid, values: ownValues(step) } : undefined
  const parts = [...splitKeys(step.key, keys, size)].map((part) => ({
    ...{ table, key: step.key, keys: part, proof, referencing },
  }))
  return (await lostInCrash(target, step, xid, parts)) ? [] : parts
}

/** Values of this batch that only we made, made again: at most three columns, those without NULLs first. */
function ownValues(step: InsertStep): { column: string; texts: string[] }[] {
  return step.recipe.columns
    .flatMap(({ name, source }) => (source.from === 'value' && recognisable(source.type) ? [{ name, ...source }] : []))
    .sort((a, b) => a.nulls - b.nulls)
    .slice(0, 3)
    .map(({ name }) => ({
      column: name,
      texts: [...makeColumn(step.recipe, step, name)].flatMap((text) => text ?? []),
    }))
}

/**
 * A server that crashed before COMMIT may have given the transaction's number and the keys to the application. So after a
 * restart at least one row must prove to be ours.
 */
async function lostInCrash(target: DbClient, step: InsertStep, xid: string, parts: readonly Ours[]): Promise<boolean> {
  if (step.server_start === undefined) return false
  const [row] = await target.query<{ start: string }>('select pg_postmaster_start_time()::text as start')
  if (row?.start === step.server_start) return false
  const proof = { xid, values: ownValues(step) }
  for (const ours of parts) if (await anyProven(target, ours, proof)) return false
  return true
}
