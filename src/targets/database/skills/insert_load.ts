/** db.insert_load: bulk-inserts rows into tables; the undo deletes exactly those rows, by key and by what proves them ours. */
import { StaleError, StepError } from '../../../core/errors.ts'
import { seededRandom } from '../../../core/random.ts'
import type { Inspection } from '../../../core/skill.ts'
import type { DbSession } from '../client.ts'
import type { DatabaseSkill, Dialect } from '../dialect.ts'
import { AdoptedError, refuseAdopted } from '../rows/adopted.ts'
import { planInserts } from '../rows/insert-plan.ts'
import { insertParams, insertStep, insertToday } from '../rows/insert-step.ts'
import type { InsertParams, InsertStep } from '../rows/insert-step.ts'
import { countKeys, rowName } from '../rows/keys.ts'
import type { Keys } from '../rows/keys.ts'
import { oursOf, partsIn, provenByHand } from '../rows/ours.ts'
import { SAMPLE } from '../rows/parents.ts'
import type { Ours } from '../rows/proof.ts'
import { countOurs, removeOurs } from '../rows/removal.ts'
import { stubbornly, uncommitted } from '../rows/retry.ts'
import { sampleParents } from '../rows/sample-parents.ts'
import { tryRemoval } from '../rows/try-removal.ts'
import { namingBlockers } from '../rows/waiting.ts'

/** Names reported at most. */
const NAMES = 20
export type { InsertStep }

export const insertLoad: DatabaseSkill<InsertParams, InsertStep> = (dialect) => ({
  name: 'db.insert_load',
  summary: 'Bulk INSERT random rows into tables; rollback deletes exactly those rows',
  params: insertParams,
  step: insertStep,
  version: 2,
  readOld: (step) => insertToday(step, dialect.typeSize),
  scope: 'resource',
  phase: 'data',
  failsafe: 'none',

  plan: (ctx, params) => planInserts(dialect, ctx, params),

  async apply({ target, mark, clock, signal, record }, step) {
    const session = await target.session(mark, signal)
    try {
      let avoid = false
      const insert = (attempt: number) =>
        namingBlockers(dialect.watchBlockers(target, session.pid, clock, 200), dialect.kindOf, () =>
          insertOnce(dialect, session, step, target.searchPath, { attempt, avoid }),
        )
      const again = (error: unknown): boolean => {
        if (!(error instanceof AdoptedError) || avoid) return false
        avoid = true
        return true
      }
      await record(await uncommitted(dialect, session, insert, again))
      await dialect.transactions.commit(session)
    } finally {
      await session.close()
    }
  },

  async inspect(ctx, step) {
    const parts = await oursOf(dialect, ctx, step)
    const seen: Inspection = { inEffect: 0, restored: 0, foreign: 0, names: [] }
    for (const ours of parts) {
      ctx.signal.throwIfAborted()
      const { present, kept, names } = await countOurs(
        dialect.removals,
        ctx.target,
        ours,
        NAMES - (seen.names?.length ?? 0),
      )
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
    for (const ours of await oursOf(dialect, ctx, step)) {
      ctx.signal.throwIfAborted()
      await stubbornly(dialect, ctx, `rows of ${step.id}`, () =>
        ctx.target.transaction(async (tx) => {
          await dialect.tables.lockDefinition(tx, ours.table)
          await dialect.tables.requireOwnCode(tx, ours.table, {
            event: 'DELETE',
            allowed: allowedFor(step),
            referring: true,
          })
          await removeOurs(dialect.removals, tx, ours)
        }),
      )
      await ctx.progress({})
    }
  },

  byHand: (step, { config }) => dialect.byHand.remove(config, step, provenByHand(dialect.removals, step)),
})

interface Try {
  attempt: number
  /** Keys that rows of others refer to already are not used. */
  avoid: boolean
}

async function insertOnce(
  dialect: Dialect,
  session: DbSession,
  step: InsertStep,
  searchPath: readonly string[],
  { attempt, avoid }: Try,
): Promise<Partial<InsertStep>> {
  const { tables, inserts, transactions } = dialect
  await tables.lockAsPlanned(session, step, { delete: true })
  await tables.refuseForeignCode(session, step, { filled: step.recipe.columns.map(({ name }) => name), beside: true })
  const referencing = await tables.referencing(session, step)
  const random = seededRandom(step.seed).fork(`parents/${step.batch}/${attempt}`)
  const parents = []
  for (const group of step.parents) {
    const limit = group.unused ? step.rows : SAMPLE
    parents.push(await sampleParents(dialect.samples, session, step, group, limit, random))
  }
  // Defaults and CHECKs of the application may call functions that rely on its path. From here on ours are qualified: a
  // function of the application with our very types would be preferred to the server's, which takes any.
  const path = await inserts.path(session, searchPath, { trusted: step.triggers === undefined })
  await path.theirs()
  // Rows that should collide with nobody's have done so when this is not the first attempt.
  // A trigger may change keys or leave rows out.
  const direct = step.collisions === 'none' && attempt === 1 && step.triggers === undefined
  const skipCollisions = step.collisions !== 'fail' && !direct
  const load = { ...step, skipCollisions, direct, ...(avoid ? { avoid: referencing } : {}) }
  const keys = await inserts.batch(session, step, load, parents)
  if (keys === undefined) throw new StaleError(`no row is left that new rows of ${step.table} could refer to`)
  refuseOversize(step, keys)
  await path.ours()
  await refuseAdopted(inserts, session, step, { key: step.key, keys, referencing })
  const xid = await transactions.current(session)
  const filenode = await tables.fileOf(session, step.oid)
  const { start, timeline } = await transactions.history(session)
  const facts = {
    ...{ keys, xid, filenode, timeline },
    ...(filenode === null ? { parts: await tables.partsWith(session, step, step.key, keys) } : {}),
    in_order: (!skipCollisions && !avoid && step.triggers === undefined) || countKeys(step.key, keys) === step.rows,
  }
  if (step.triggers !== undefined) {
    const parts: Ours[] = []
    const writer = await transactions.writer(session, xid)
    for (const table of await tables.locate(session, step))
      if (table.same) parts.push(...(await partsIn(dialect, session, { ...step, ...facts }, table, writer)))
    // Triggers find the path they rely on.
    await path.theirs()
    await tryRemoval(dialect, session, step.id, parts)
    await path.ours()
  }
  // Where a server that crashes before COMMIT can give the numbers out again, its start tells that it has crashed.
  const durable = await transactions.makeNumbersDurable(session)
  // What is deferred to COMMIT finds the path it relies on.
  await path.theirs()
  return durable ? facts : { ...facts, server_start: start }
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
