/** Trying again what failed in the face of others: they held a lock, or wrote in between. */
import { messageOf, RollbackError } from '../../../core/errors.ts'
import type { RevertContext } from '../../../core/skill.ts'
import type { DbClient, Queries } from '../client.ts'
import type { Blockers, Dialect, ErrorKind, Transactions } from '../dialect.ts'

const ATTEMPTS = 4

/** Somebody held a lock, a deadlock was broken, a referring row came in between: trying an undo again may well work. */
const PASSING: readonly (ErrorKind | undefined)[] = ['serialization', 'locked', 'refers']
/** The same for rows that are going in: a key may have been taken meanwhile. Of a lock the wait was long enough. */
const PASSING_IN: readonly (ErrorKind | undefined)[] = ['serialization', 'refers', 'duplicate']

export type Undoing = Pick<RevertContext<DbClient, unknown>, 'target' | 'mark' | 'clock' | 'signal'>

/**
 * Tries an undo a few times on the control connection; then throws RollbackError naming `what` and who is in the way, and
 * the engine comes back later.
 */
export async function stubbornly<T>(dialect: Dialect, ctx: Undoing, what: string, work: () => Promise<T>): Promise<T> {
  let watch: Blockers | undefined
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!PASSING.includes(dialect.kindOf(error))) throw error
        if (attempt === ATTEMPTS) {
          const held = watch?.seen().join(', ') ?? ''
          const why = held === '' ? messageOf(error) : `held by ${held}; end that first (${messageOf(error)})`
          throw new RollbackError('RESIDUE', `${what} cannot be put back now: ${why}`, { cause: error })
        }
      }
      watch ??= await watchControl(dialect, ctx).catch(() => undefined)
      await ctx.clock.sleep(50 * 2 ** attempt, ctx.signal)
    }
  } finally {
    await watch?.stop()
  }
}

/** Looks, from a session of its own, whom the control connection waits for. */
async function watchControl(dialect: Dialect, { target, mark, clock, signal }: Undoing): Promise<Blockers> {
  const self = await dialect.sessions.ownPid(target)
  const session = await target.session(mark, signal)
  const blockers = dialect.watchBlockers(session, self, clock, 200)
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
  { transactions, kindOf }: Dialect,
  session: Queries,
  work: (attempt: number) => Promise<T>,
  again: (error: unknown) => boolean = () => false,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    await transactions.begin(session)
    try {
      return await work(attempt)
    } catch (error) {
      const passes = PASSING_IN.includes(kindOf(error)) || again(error)
      if (attempt === ATTEMPTS || !passes) throw error
      await transactions.rollback(session)
    }
  }
}

/**
 * What became of a transaction of ours; `unknown`: so long ago that the server has forgotten, then only the rows tell.
 * Throws RollbackError while it is still running: quiesce has not ended it.
 */
export async function fateOf(
  { fate }: Transactions,
  on: Queries,
  xid: string,
): Promise<'committed' | 'aborted' | 'unknown'> {
  const status = await fate(on, xid)
  if (status === 'running') throw new RollbackError('RESIDUE', `transaction ${xid} of ours is still in progress`)
  return status
}
