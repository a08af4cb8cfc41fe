/** db.table_lock: holds locks on tables in a session of its own; the end of that session is the undo. */
import { z } from 'zod'
import { formatDuration, parseDuration } from '../../../core/duration.ts'
import { ConfigError, messageOf, RefusedError, StaleError, StepError, TargetError } from '../../../core/errors.ts'
import type { ConfigProblem } from '../../../core/errors.ts'
import type { DbReader, DbSession } from '../client.ts'
import type { Blockers, DatabaseSkill, Dialect, Locks, SessionOf } from '../dialect.ts'
import { endHeld, openHeld } from '../held.ts'
import { resolveTables, splitName } from '../rows/names.ts'
import type { TableRef } from '../rows/table-ref.ts'
import { refuseOnReplica } from '../rows/replica.ts'
import { gaveUp } from '../rows/waiting.ts'

/** What apply needs besides the wait for the locks. */
const APPLY_MS = 60_000

const paramsOf = ({ modes }: Locks) =>
  z.strictObject({
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
      .pipe(z.enum(modes, { error: `is not a lock mode; write one of ${modes.join(', ')}` }))
      .prefault(modes.at(-1) ?? ''),
    wait: z
      .string()
      .refine((text) => (parseDuration(text) ?? 0) >= 1, { error: 'is not a duration; write 5s or 500ms' })
      .default('5s'),
  })

const stepOf = ({ modes }: Locks) =>
  z.strictObject({
    tables: z.array(z.strictObject({ id: z.string(), schema: z.string(), table: z.string() })),
    mode: z.enum(modes),
    /** Longest wait for the locks, milliseconds. */
    wait_ms: z.number(),
    /** Of the session that holds the locks; recorded before it asks for them. */
    pid: z.string().optional(),
    backend_start: z.string().optional(),
  })

type Params = z.infer<ReturnType<typeof paramsOf>>
type Step = z.infer<ReturnType<typeof stepOf>>

export const tableLock: DatabaseSkill<Params, Step> = (dialect) => ({
  name: 'db.table_lock',
  summary: 'Lock tables for the whole soak; rollback ends the session that holds the locks',
  params: paramsOf(dialect.locks),
  step: stepOf(dialect.locks),
  version: 1,
  scope: 'resource',
  phase: 'held',
  failsafe: 'session',

  asks: (resources) =>
    resources
      .filter((r) => r.kind === 'table' && r.aside === undefined)
      .map(({ id }) => ({ resource: id, params: { tables: [id] } })),

  async plan({ target, all, taken }, params) {
    const { locks } = dialect
    refuseCatalogs(locks, params.tables)
    if (!locks.onReplicas.includes(params.lock_mode)) {
      await refuseOnReplica(dialect.isReplica(target), 'db.table_lock', `takes ${params.lock_mode} locks`)
    }
    const named = await resolveTables(dialect.catalog, target, all, params.tables)
    await refuseOwnQueue(locks, target, named, params.lock_mode, taken)
    await requirePrivileges(locks, target, named, params.lock_mode)
    // One order for everybody: two of us never wait for each other.
    const tables = named.filter(({ id }) => !taken.has(lockKey(id))).sort((a, b) => (a.id < b.id ? -1 : 1))
    const skipped = named
      .filter(({ id }) => taken.has(lockKey(id)))
      .map(({ id }) => ({ resource: id, reason: `${id} is locked by an earlier entry of this run already` }))
    const [first] = tables
    if (!first) return { steps: [], skipped }
    const ids = tables.map(({ id }) => id)
    const children = await locks.below(target, ids)
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
    const options = { lockMs: step.wait_ms, statementMs: Math.max(step.wait_ms, 1_000) }
    const session = await openHeld({ target, mark, heldMs, signal }, options)
    try {
      await record({ pid: session.pid, backend_start: session.backendStart })
      await lock(dialect, session, dialect.watchBlockers(target, session.pid, clock), step)
    } catch (error) {
      await session.close()
      throw error
    }
    hold(session)
  },

  async inspect({ target, mark }, step) {
    const held = await dialect.locks.held(target, sessionOf(mark, step), step.tables)
    const names = held.slice(0, 20)
    return { inEffect: held.length, restored: step.tables.length - held.length, foreign: 0, names }
  },

  revert: (ctx, step) => endHeld(dialect.sessions, ctx, sessionOf(ctx.mark, step)),

  byHand: (step, { mark, config }) => ({
    lines: dialect.byHand.endSession(config, sessionOf(mark, step)),
    holdsValues: false,
  }),
})

function sessionOf(mark: string, { pid, backend_start }: Step): SessionOf {
  return { mark, pid, backend_start }
}

/** What a step that locks a table takes from the later entries of its run, which would wait behind it. */
export function takenBy(mode: string, id: string): string {
  return `${mode} on ${id}`
}

/** The mode in which an earlier entry of the run locks the table, where a lock of ours would wait behind it. */
export function waitsBehind(
  { conflicts }: Pick<Locks, 'conflicts'>,
  mode: string,
  id: string,
  taken: ReadonlySet<string>,
): string | undefined {
  return conflicts[mode]?.find((other) => taken.has(takenBy(other, id)))
}

/** Throws REFUSED_UNSUITABLE for tables of the server's own schemas. */
function refuseCatalogs({ ownSchemas }: Locks, names: readonly string[]): void {
  for (const name of names) {
    const parts = splitName(name) ?? []
    if (parts.length === 2 && ownSchemas.includes(parts[0] ?? '')) {
      throw new RefusedError(
        'REFUSED_UNSUITABLE',
        `${name} belongs to the server itself: it would stop everybody, us too`,
      )
    }
  }
}

/** Throws TARGET_PRIVILEGE with the GRANT lines for a lock of this mode. */
async function requirePrivileges(
  locks: Locks,
  target: DbReader,
  tables: readonly TableRef[],
  mode: string,
): Promise<void> {
  const grants = await locks.missingGrants(target, tables, mode)
  if (grants.length === 0) return
  const fix = grants.join('\n')
  throw new TargetError('TARGET_PRIVILEGE', `${target.role} may not lock in ${mode} mode:\n${fix}`, { fix })
}

/** A lock that waits behind another of the same run never comes: that one is held until the end of the soak. */
async function refuseOwnQueue(
  locks: Locks,
  target: DbReader,
  named: readonly TableRef[],
  mode: string,
  taken: ReadonlySet<string>,
): Promise<void> {
  if (taken.size === 0) return
  const problems: ConfigProblem[] = []
  for (const { id } of named) {
    for (const locked of [id, ...(await locks.below(target, [id]))]) {
      const other = waitsBehind(locks, mode, locked, taken)
      if (other === undefined) continue
      const also = locked === id ? '' : ` and what is below it`
      const message = `db.table_lock cannot have ${mode} on ${id}${also}: an earlier db.table_lock of this run holds ${other} on ${locked} for the whole soak; name the tables in one entry, or lock them in another experiment`
      problems.push({ file: '', line: 0, column: 0, path: 'params.tables', message })
      break
    }
  }
  if (problems.length > 0) throw new ConfigError(problems, 'CONFIG_NOT_ON_TARGET')
}

async function lock(
  { locks, kindOf }: Dialect,
  session: DbSession,
  blockers: Blockers,
  { tables, mode, wait_ms }: Step,
): Promise<void> {
  const names = tables.map(({ id }) => id).join(', ')
  try {
    await locks.take(session, tables, mode)
  } catch (error) {
    const kind = kindOf(error)
    if (kind === 'gone') throw new StaleError(`a table of ${names} is gone: ${messageOf(error)}`)
    if (!gaveUp(kind)) throw error
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
