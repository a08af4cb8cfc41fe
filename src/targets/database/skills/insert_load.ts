/** db.insert_load: bulk-inserts rows into tables; the undo deletes exactly those rows, by key and by what proves them ours. */
import { StepError } from '../../../core/errors.ts'
import { seededRandom } from '../../../core/random.ts'
import type { DatabaseSkill } from '../dialect.ts'
import type { InspectContext, Inspection, SkillSpec } from '../../../core/skill.ts'
import { loadReferencing, locateTables, lockAsPlanned, partsWith } from '../postgres/catalog/tables.ts'
import { keyNow } from '../rows/located.ts'
import type { Located, Renamed } from '../rows/located.ts'
import { inPsql, remark } from '../postgres/by-hand/psql.ts'
import type { DbClient, DbReader, DbSession, Queries } from '../client.ts'
import { deleteByHand } from '../postgres/by-hand/delete.ts'
import type { RowsByHand } from '../postgres/by-hand/delete.ts'
import { fateOf, ownWriter, stubbornly, uncommitted } from '../postgres/fate.ts'
import { insertBatch } from '../postgres/insert.ts'
import { insertParams, insertStep, insertToday, planInserts } from '../rows/insert-plan.ts'
import type { InsertParams, InsertStep } from '../rows/insert-plan.ts'
import { countKeys, rowName, splitKeys } from '../rows/keys.ts'
import type { Keys } from '../rows/keys.ts'
import { watchBlockers } from '../postgres/blockers.ts'
import { kindOf } from '../postgres/errors.ts'
import { namingBlockers } from '../rows/waiting.ts'
import { AdoptedError, refuseAdopted } from '../postgres/orphans.ts'
import { SAMPLE, sampleParents } from '../rows/parents.ts'
import { ENOUGH, isTelling, STRONG, traitsOf } from '../rows/proof.ts'
import type { Proof } from '../rows/proof.ts'
import type { Source } from '../rows/batch.ts'
import { tryRemoval } from '../postgres/by-trigger.ts'
import { ownSchemas } from '../postgres/catalog/foreign-code.ts'
import { lockDefinition, refuseForeignCode, requireOwnCode } from '../postgres/catalog/own-code.ts'
import { anyProven, countOurs, removeOurs } from '../postgres/removal.ts'
import type { Ours } from '../postgres/removal.ts'
import { asRecorded } from '../postgres/by-hand/recorded-names.ts'
import { columnsNow } from '../postgres/catalog/renamed.ts'
import { quoteIdent } from '../postgres/sql.ts'

/** Rows looked at or deleted in one statement, and of how many referring rows without an index one delete may read all. */
const PART = 10_000
const SCANNED = 2e8
/** Names reported at most. */
const NAMES = 20
/** Values written out for a person to run. */
const BY_HAND_BYTES = 64 * 1024

export type { InsertStep }

export const insertLoad: DatabaseSkill<InsertParams, InsertStep> = (
  dialect,
): SkillSpec<DbReader, DbClient, InsertParams, InsertStep> => ({
  name: 'db.insert_load',
  summary: 'Bulk INSERT random rows into tables; rollback deletes exactly those rows',
  params: insertParams,
  step: insertStep,
  version: 2,
  readOld: (step) => insertToday(step, dialect.typeSize),
  scope: 'resource',
  phase: 'data',
  failsafe: 'none',

  plan: planInserts,

  async apply({ target, mark, clock, signal, record }, step) {
    const session = await target.session(mark, signal)
    try {
      let avoid = false
      const insert = (attempt: number) =>
        namingBlockers(watchBlockers(target, session.pid, clock, 200), kindOf, () =>
          insertOnce(session, step, target.searchPath, { attempt, avoid }),
        )
      const again = (error: unknown): boolean => {
        if (!(error instanceof AdoptedError) || avoid) return false
        avoid = true
        return true
      }
      await record(await uncommitted(session, insert, again))
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
      seen.names?.push(...names.map((tuple) => rowName(step.id, tuple)))
    }
    // Where two tables are looked through, a key may have a row in each.
    const written = parts.length === 0 ? 0 : countKeys(step.key, step.keys ?? [])
    seen.restored = Math.max(0, written - seen.inEffect - seen.foreign)
    return seen
  },

  async revert(ctx, step) {
    for (const ours of await oursOf(ctx, step)) {
      ctx.signal.throwIfAborted()
      await stubbornly(ctx, `rows of ${step.id}`, () =>
        ctx.target.transaction(async (tx) => {
          await lockDefinition(tx, ours.table)
          await requireOwnCode(tx, ours.table, { event: 'DELETE', allowed: allowedFor(step), referring: true })
          await removeOurs(tx, ours)
        }),
      )
      await ctx.progress({})
    }
  },

  byHand(step, { config }) {
    const { keys = [], xid } = step
    if (xid === undefined || keys.length === 0) {
      return { lines: [remark(`nothing was committed to ${step.id}: there is nothing to do`)], holdsValues: false }
    }
    const proven = provenByHand(step)
    const statement = deleteByHand({ ...step, keys, xid, ...proven })
    const used = step.recipe.columns.filter(({ name }) => proven.values.some(({ column }) => column === name))
    const what = remark(
      `deletes those of ${countKeys(step.key, keys)} rows of ${step.id} that are known to be ours and that no others refer to`,
    )
    return {
      lines: [what, ...inPsql(config, [asRecorded(step, [...step.key.columns, ...used]), statement])],
      holdsValues: false,
    }
  },
})

interface Try {
  attempt: number
  /** Keys that rows of others refer to already are not used. */
  avoid: boolean
}

async function insertOnce(
  session: DbSession,
  step: InsertStep,
  searchPath: readonly string[],
  { attempt, avoid }: Try,
) {
  await lockAsPlanned(session, step, { delete: true })
  await refuseForeignCode(session, step, { filled: step.recipe.columns.map(({ name }) => name), beside: true })
  const referencing = await loadReferencing(session, step)
  const random = seededRandom(step.seed).fork(`parents/${step.batch}/${attempt}`)
  const parents = []
  for (const group of step.parents) {
    parents.push(await sampleParents(session, step, group, group.unused ? step.rows : SAMPLE, random))
  }
  // Defaults and CHECKs of the application may call functions that rely on its path. From here on ours are qualified: a
  // function of the application with our very types would be preferred to the server's, which takes any.
  const own = step.triggers === undefined ? await ownSchemas(session, searchPath) : searchPath
  const path = ['pg_catalog', ...own.filter((schema) => schema !== 'pg_catalog')]
  const usePath = (schemas: readonly string[]) =>
    session.query(`set local search_path to ${schemas.map(quoteIdent).join(', ')}`)
  await usePath(path)
  // Rows that should collide with nobody's have done so when this is not the first attempt.
  // A trigger may change keys or leave rows out.
  const direct = step.collisions === 'none' && attempt === 1 && step.triggers === undefined
  const skipCollisions = step.collisions !== 'fail' && !direct
  const keys = await insertBatch(
    session,
    step,
    { ...step, skipCollisions, direct, ...(avoid ? { avoid: referencing } : {}) },
    parents,
  )
  refuseOversize(step, keys)
  await usePath(['pg_catalog'])
  await refuseAdopted(session, step, { key: step.key, keys, referencing })
  const [row] = await session.query<{ xid: string; filenode: string | null }>(
    'select pg_current_xact_id()::text as xid, pg_relation_filenode($1::oid)::text as filenode',
    [step.oid],
  )
  const { start, timeline } = await historyOf(session)
  const filenode = row?.filenode ?? null
  const facts = {
    ...{ keys, xid: row?.xid ?? '', filenode, timeline },
    ...(filenode === null ? { parts: await partsWith(session, step, step.key, keys) } : {}),
    in_order: (!skipCollisions && !avoid && step.triggers === undefined) || countKeys(step.key, keys) === step.rows,
  }
  if (step.triggers !== undefined) {
    const parts: Ours[] = []
    for (const table of await locateTables(session, step))
      if (table.same)
        parts.push(...(await partsIn(session, { ...step, ...facts }, table, await ownWriter(session, facts.xid))))
    // Triggers find the path they rely on.
    await usePath(path)
    await tryRemoval(session, step.id, parts)
    await usePath(['pg_catalog'])
  }
  const flushed = await flushLog(session)
  // What is deferred to COMMIT finds the path it relies on.
  await usePath(path)
  return flushed ? facts : { ...facts, server_start: start }
}

/**
 * Makes the server's log durable up to here, with our transaction's number and what the sequences gave us in it: then
 * even a server that crashes before COMMIT gives neither out again. Only version 17 and later can be told to.
 */
async function flushLog(session: DbSession): Promise<boolean> {
  const [able] = await session.query<{ ok: string | null }>(
    `select pg_catalog.has_function_privilege(
       pg_catalog.to_regprocedure('pg_catalog.pg_logical_emit_message(boolean,text,text,boolean)'), 'EXECUTE')::text as ok`,
  )
  if (able?.ok !== 'true') return false
  await session.query(`select pg_catalog.pg_logical_emit_message(false, 'chaos-agents', '', true)`)
  return true
}

/** A record takes 1 MiB. The plan estimates; keys that the server makes up may be longer than any estimate. */
function refuseOversize(step: InsertStep, keys: Keys): void {
  if (Buffer.byteLength(JSON.stringify(keys)) < 1_000_000) return
  throw new StepError('STEP_FAILED', `the keys of ${step.rows} rows of ${step.id} are too long; set batch_rows lower`)
}

/** Trigger functions that somebody has let fire for the rows. */
function allowedFor({ triggers, trigger_functions }: InsertStep): readonly string[] | 'any' {
  return triggers === undefined ? [] : (trigger_functions ?? 'any')
}

/** The rows of a step that are to be found on the target, in parts; none when nothing of it was committed. */
async function oursOf({ target }: InspectContext<DbClient>, step: InsertStep): Promise<Ours[]> {
  const { keys, xid } = step
  if (keys === undefined || xid === undefined || keys.length === 0) return []
  if ((await fateOf(target, xid)) === 'aborted') return []
  const writer = await ownWriter(target, xid)
  const parts: Ours[] = []
  for (const table of await locateTables(target, step)) {
    await requireOwnCode(target, table, { event: 'read', allowed: 'any', referring: true })
    parts.push(...(await partsIn(target, step, table, writer)))
  }
  // What wrote them may be another transaction of the same number.
  if ((await hasOtherHistory(target, step)) && !(await anyOfThem(target, parts))) {
    return parts.map((part) => ({ ...part, proof: { ...part.proof, writer: undefined } }))
  }
  return parts
}

async function partsIn(target: Queries, step: InsertStep, table: Located, writer: string | undefined): Promise<Ours[]> {
  const referencing = await loadReferencing(target, table)
  const unindexed = Math.max(1, ...referencing.filter((k) => !k.fromIndexed).map((k) => k.fromRows))
  const selfReferring = referencing.some((k) => k.from.id === table.id)
  // Rows that refer to each other must be looked at together.
  const size = selfReferring ? step.rows : Math.max(50, Math.min(PART, Math.floor(SCANNED / unindexed)))
  const renamed = await columnsNow(target, table)
  const proof = proofOf(step, table, writer, renamed)
  const now = keyNow(step.key, step.keys ?? [], renamed)
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
function proofOf(step: InsertStep, table: Located, writer: string | undefined, renamed: Renamed): Proof {
  const { traits, rows } = traitsOf(step.recipe, step, renamed)
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

/** The same for a person: values are written out, so only a few columns that prove a row in whichever place it is. */
function provenByHand(step: InsertStep): Pick<RowsByHand, 'byKey' | 'pairsIn' | 'values'> {
  const same = {
    same: true,
    detached: false,
    filenode: step.filenode ?? null,
    id: step.id,
    oid: step.oid,
    schema: step.schema,
    table: step.table,
  }
  const { traits, all } = proofOf(step, same, undefined, (column) => ({
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

/**
 * A server that crashed before COMMIT, or goes on from a copy that did not have it, may have given the transaction's number
 * and the keys to the application.
 */
async function hasOtherHistory(target: DbClient, { server_start: start, timeline }: InsertStep): Promise<boolean> {
  const now = await historyOf(target)
  return (start !== undefined && now.start !== start) || (timeline != null && now.timeline !== timeline)
}

/** Then at least one row must prove to be ours; where none could, the number has to do. */
async function anyOfThem(target: DbClient, parts: readonly Ours[]): Promise<boolean> {
  let any: boolean | undefined
  for (const part of parts) {
    const proven = await anyProven(target, part)
    if (proven) return true
    any ??= proven
  }
  return any ?? true
}

async function historyOf(on: Queries): Promise<{ start: string; timeline: string | null }> {
  const [row] = await on.query<{ start: string; timeline: string | null }>(
    `select pg_postmaster_start_time()::text as start, case when not pg_is_in_recovery() and
       has_function_privilege('pg_current_wal_lsn()', 'EXECUTE') and has_function_privilege('pg_walfile_name(pg_lsn)', 'EXECUTE')
       then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline`,
  )
  return { start: row?.start ?? '', timeline: row?.timeline ?? null }
}
