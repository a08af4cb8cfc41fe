/** What became of a transaction of ours, and undoing in the face of locks. */
import { messageOf, RollbackError } from '../../../core/errors.ts'
import type { Queries } from '../client.ts'
import type { Blockers, Undoing } from '../dialect.ts'
import { watchBlockers } from './blockers.ts'
import { sqlState } from './sql.ts'

/**
 * Whether the transaction was committed. `unknown`: so long ago that the server has forgotten; then only the rows tell.
 * Throws RollbackError while it is still running: quiesce has not ended it.
 */
export async function fateOf(on: Queries, xid: string): Promise<'committed' | 'aborted' | 'unknown'> {
  let status: string | null | undefined
  try {
    const [row] = await on.query<{ status: string | null }>('select pg_xact_status($1::text::xid8) as status', [xid])
    status = row?.status
  } catch (error) {
    // A crash of the server took the transaction with it, number and all.
    if (sqlStateIn(error, ['22023'])) return 'aborted'
    throw error
  }
  if (status === 'in progress') throw new RollbackError('RESIDUE', `transaction ${xid} of ours is still in progress`)
  return status === 'committed' || status === 'aborted' ? status : 'unknown'
}

/**
 * The lower half of a transaction's number, which rows carry as xmin; undefined when so many transactions have begun since
 * that the half may be another's.
 */
export async function ownWriter(on: Queries, xid: string): Promise<string | undefined> {
  const [row] = await on.query<{ next: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as next')
  return BigInt(row?.next ?? 0) - BigInt(xid) < 2n ** 32n ? (BigInt(xid) & 0xffffffffn).toString() : undefined
}

/** Somebody held a lock, a deadlock was broken, a referring row came in between: trying again may well work. */
const PASSING = ['40001', '40P01', '55P03', '23503']

const ATTEMPTS = 4

/**
 * Tries an undo a few times on the control connection; then throws RollbackError naming `what` and who is in the way, and
 * the engine comes back later.
 */
export async function stubbornly<T>(ctx: Undoing, what: string, work: () => Promise<T>): Promise<T> {
  let watch: Blockers | undefined
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!sqlStateIn(error, PASSING)) throw error
        if (attempt === ATTEMPTS) {
          const held = watch?.seen().join(', ') ?? ''
          const why = held === '' ? messageOf(error) : `held by ${held}; end that first (${messageOf(error)})`
          throw new RollbackError('RESIDUE', `${what} cannot be put back now: ${why}`, { cause: error })
        }
      }
      watch ??= await watchControl(ctx).catch(() => undefined)
      await ctx.clock.sleep(50 * 2 ** attempt, ctx.signal)
    }
  } finally {
    await watch?.stop()
  }
}

/** Looks, from a session of its own, whom the control connection waits for. */
async function watchControl({ target, mark, clock, signal }: Undoing): Promise<Blockers> {
  const [self] = await target.query<{ pid: string }>('select pg_backend_pid()::text as pid')
  const session = await target.session(mark, signal)
  const blockers = watchBlockers(session, self?.pid ?? '0', clock, 200)
  return {
    seen: () => blockers.seen(),
    async stop() {
      await blockers.stop()
      await session.close()
    },
  }
}

/**
 * Works in one transaction of a session up to its COMMIT. Nothing is recorded yet, so what passes is tried again, and what
 * `again` says.
 */
export async function uncommitted<T>(
  session: Queries,
  work: (attempt: number) => Promise<T>,
  again: (error: unknown) => boolean = () => false,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    await session.query('begin')
    try {
      return await work(attempt)
    } catch (error) {
      const passes = sqlStateIn(error, ['40001', '40P01', '23503', '23505']) || again(error)
      if (attempt === ATTEMPTS || !passes) throw error
      await session.query('rollback')
    }
  }
}

/** Whether the server gave one of these SQLSTATEs. */
function sqlStateIn(error: unknown, states: readonly string[]): boolean {
  return states.includes(sqlState(error) ?? '')
}
