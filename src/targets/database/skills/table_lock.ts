/** db.table_lock: holds locks on tables in a session of its own; the end of that session is the undo. */
import { z } from 'zod'
import { formatDuration, parseDuration } from '../../../core/duration.ts'
import { ConfigError, messageOf, RollbackError, StaleError, StepError } from '../../../core/errors.ts'
import type { ConfigProblem } from '../../../core/errors.ts'
import type { SkillSpec } from '../../../core/skill.ts'
import { inPsql, literal, remark } from '../postgres/by-hand/psql.ts'
import type { DbClient, DbReader, DbSession } from '../dialect.ts'
import {
  childrenOf,
  LOCK_MODES,
  ON_REPLICAS,
  refuseCatalogs,
  requireLockPrivileges,
  takenBy,
  waitsBehind,
  watchBlockers,
} from '../postgres/locks.ts'
import type { Blockers, LockMode } from '../postgres/locks.ts'
import { OWN_SESSION } from '../postgres/own-session.ts'
import { refuseOnReplica } from '../postgres/replica.ts'
import { quoteTable, sqlState } from '../postgres/sql.ts'
import { resolveTables } from '../rows/names.ts'
import type { TableRef } from '../rows/names.ts'

/** What apply needs besides the wait for the locks. */
const APPLY_MS = 60_000
/** The server's longest timeout. */
const LONGEST_MS = 2 ** 31 - 1
/** How long an ended session may take to go. */
const GONE_MS = 10_000

const params = z.strictObject({
  tables: z.array(z.string().min(1)).min(1),
  lock_mode: z
    .string()
    .transform((text) =>
      text
        .trim()
        .toUpperCase()
        .replaceAll(/\s+/g, ' ')
        .replace(/ MODE$/, ''),
    )
    .pipe(z.enum(LOCK_MODES, { error: `is not a lock mode; write one of ${LOCK_MODES.join(', ')}` }))
    .prefault('ACCESS EXCLUSIVE'),
  wait: z
    .string()
    .refine((text) => (parseDuration(text) ?? 0) >= 1, { error: 'is not a duration; write 5s or 500ms' })
    .default('5s'),
})

const step = z.strictObject({
  tables: z.array(z.strictObject({ id: z.string(), schema: z.string(), table: z.string() })),
  mode: z.enum(LOCK_MODES),
  /** Longest wait for the locks, milliseconds. */
  wait_ms: z.number(),
  /** Of the session that holds the locks; recorded before it asks for them. */
  pid: z.string().optional(),
  backend_start: z.string().optional(),
})

type Params = z.infer<typeof params>
type Step = z.infer<typeof step>

export const tableLock: SkillSpec<DbReader, DbClient, Params, Step> = {
  name: 'db.table_lock',
  summary: 'Lock tables for the whole soak; rollback ends the session that holds the locks',
  params,
  step,
  version: 1,
  scope: 'resource',
  phase: 'held',
  failsafe: 'session',

  asks: (resources) =>
    resources
      .filter((r) => r.kind === 'table' && r.aside === undefined)
      .map(({ id }) => ({ resource: id, params: { tables: [id] } })),

  async plan({ target, all, taken }, params) {
    refuseCatalogs(params.tables)
    if (!ON_REPLICAS.includes(params.lock_mode)) {
      await refuseOnReplica(target, 'db.table_lock', `takes ${params.lock_mode} locks`)
    }
    const named = await resolveTables(target, all, params.tables)
    await refuseOwnQueue(target, named, params.lock_mode, taken)
    await requireLockPrivileges(target, named, params.lock_mode)
    // One order for everybody: two of us never wait for each other.
    const tables = named.filter(({ id }) => !taken.has(lockKey(id))).sort((a, b) => (a.id < b.id ? -1 : 1))
    const skipped = named
      .filter(({ id }) => taken.has(lockKey(id)))
      .map(({ id }) => ({ resource: id, reason: `${id} is locked by an earlier entry of this run already` }))
    const [first] = tables
    if (!first) return { steps: [], skipped }
    const ids = tables.map(({ id }) => id)
    const children = await childrenOf(target, ids)
    const notes = [
      `while the lock on ${ids.join(', ')} is waited for (at most ${params.wait}), whoever comes later waits behind it`,
      ...(children.length > 0 ? [`the lock also covers the tables below: ${children.join(', ')}`] : []),
    ]
    const touches = [...ids, ...children]
    const wait_ms = parseDuration(params.wait) ?? 0
    return {
      steps: [
        {
          resource: first.id,
          touches: [...touches, ...touches.map(lockKey)],
          takes: touches.map((id) => takenBy(params.lock_mode, id)),
          step: { tables, mode: params.lock_mode, wait_ms },
          applyMs: wait_ms + APPLY_MS,
          describe: `hold ${params.lock_mode} on ${ids.join(', ')}`,
        },
      ],
      skipped,
      notes,
    }
  },

  async apply({ target, mark, heldMs, clock, signal, record, hold }, step) {
    const session = await target.session(mark, signal, {
      lockMs: step.wait_ms,
      statementMs: Math.max(step.wait_ms, 1_000),
      // The fail-safe: if our host vanishes without a word, the server ends the session and its locks.
      idleInTransactionMs: Math.min(heldMs, LONGEST_MS),
    })
    try {
      await record({ pid: session.pid, backend_start: session.backendStart })
      await session.query('BEGIN')
      await lock(session, watchBlockers(target, session.pid, clock), step)
    } catch (error) {
      await session.close()
      throw error
    }
    hold(session)
  },

  async inspect({ target, mark }, step) {
    const held = await target.query<{ id: string }>(
      `select distinct t.id from unnest($4::text[], $5::text[]) t(id, name)
         join pg_locks l on l.locktype = 'relation' and l.relation = to_regclass(t.name)
          and l.database = (select oid from pg_database where datname = current_database())
         join pg_stat_activity a on a.pid = l.pid
        where ${OURS} order by 1`,
      [...sessionOf(mark, step), step.tables.map(({ id }) => id), step.tables.map(quoteTable)],
    )
    const names = held.map(({ id }) => id).slice(0, 20)
    return { inEffect: held.length, restored: step.tables.length - held.length, foreign: 0, names }
  },

  async revert({ target, mark, clock, signal }, step) {
    const deadline = clock.monotonic() + GONE_MS
    for (let pause = 5; ; pause = Math.min(pause * 2, 250)) {
      const left = await target.query<{ pid: string }>(
        `select a.pid::text, pg_terminate_backend(a.pid) from pg_stat_activity a where ${OURS}`,
        sessionOf(mark, step),
      )
      if (left.length === 0) return
      if (clock.monotonic() > deadline) {
        const pids = left.map(({ pid }) => pid).join(', ')
        throw new RollbackError('RESIDUE', `the session that holds the locks does not end (pid ${pids})`)
      }
      await clock.sleep(pause, signal)
    }
  },

  byHand(step, { mark, config }) {
    const [name, pid, start] = sessionOf(mark, step).map(literal)
    const recorded =
      step.pid === undefined ? OWN_SESSION : `a.pid = ${pid}::int and a.backend_start = ${start}::timestamptz`
    const ours = `a.application_name = ${name} and ${recorded}`
    return {
      lines: [
        remark('ends the session that holds the locks; where it is gone already, this finds nothing'),
        ...inPsql(config, [`select a.pid, pg_terminate_backend(a.pid) from pg_stat_activity a where ${ours};`]),
      ],
      holdsValues: false,
    }
  },
}

/**
 * The step's session: of its name, and what was recorded of it before it asked for a lock, so that a journal which was changed
 * names no session of others. Without a record nothing is held, and a session that has the step's name and can be shown to be
 * ours is ended all the same. Takes the three values of `sessionOf`.
 */
const OURS = `a.application_name = $1 and case when $2::int is null then ${OWN_SESSION}
  else a.pid = $2::int and a.backend_start = $3::timestamptz end`

function sessionOf(mark: string, { pid, backend_start }: Step): (string | null)[] {
  return [mark, pid ?? null, backend_start ?? null]
}

/** A lock that waits behind another of the same run never comes: that one is held until the end of the soak. */
async function refuseOwnQueue(
  target: DbReader,
  named: readonly TableRef[],
  mode: LockMode,
  taken: ReadonlySet<string>,
): Promise<void> {
  if (taken.size === 0) return
  const problems: ConfigProblem[] = []
  for (const { id } of named) {
    for (const locked of [id, ...(await childrenOf(target, [id]))]) {
      const other = waitsBehind(mode, locked, taken)
      if (other === undefined) continue
      const also = locked === id ? '' : ` and what is below it`
      const message = `db.table_lock cannot have ${mode} on ${id}${also}: an earlier db.table_lock of this run holds ${other} on ${locked} for the whole soak; name the tables in one entry, or lock them in another experiment`
      problems.push({ file: '', line: 0, column: 0, path: 'params.tables', message })
      break
    }
  }
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
}

async function lock(session: DbSession, blockers: Blockers, { tables, mode, wait_ms }: Step): Promise<void> {
  const names = tables.map(({ id }) => id).join(', ')
  try {
    await session.query(`LOCK TABLE ${tables.map(quoteTable).join(', ')} IN ${mode} MODE`)
  } catch (error) {
    const state = sqlState(error)
    if (state === '42P01' || state === '3F000') throw new StaleError(`a table of ${names} is gone: ${messageOf(error)}`)
    if (state !== '55P03' && state !== '57014') throw error
    const holders = blockers.seen().join(', ') || 'somebody'
    throw new StepError(
      'STEP_FAILED',
      `${holders} did not let us have ${mode} on ${names} within ${formatDuration(wait_ms)}; try at another time, or raise wait`,
      { cause: error },
    )
  } finally {
    await blockers.stop()
  }
}

function lockKey(id: string): string {
  return `lock:${id}`
}
