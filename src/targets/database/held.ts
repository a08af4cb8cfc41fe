/** What skills that hold something in a session of their own share: how it is opened, and how its end is waited for. */
import type { Clock } from '../../core/clock.ts'
import { RollbackError } from '../../core/errors.ts'
import type { ApplyContext } from '../../core/skill.ts'
import { until } from '../../core/until.ts'
import type { DbClient, DbReader, DbSession, SessionOptions } from './client.ts'
import type { SessionOf, Sessions } from './dialect.ts'

/** The server's longest timeout. */
const LONGEST_MS = 2 ** 31 - 1
/** How long an ended session may take to go. */
const GONE_MS = 10_000

/**
 * A session that carries the step's mark. Its fail-safe: if our host vanishes without a word, the server ends it when it
 * has idled in its transaction for longer than the step can be held. Whoever opens it hands it to `hold`, or closes it.
 */
export function openHeld(
  { target, mark, heldMs, signal }: Pick<ApplyContext<DbClient, object>, 'target' | 'mark' | 'heldMs' | 'signal'>,
  options: Omit<SessionOptions, 'idleInTransactionMs'> = {},
): Promise<DbSession> {
  return target.session(mark, signal, { ...options, idleInTransactionMs: Math.min(heldMs, LONGEST_MS) })
}

/** Tells the session to end, and resolves when it is gone, as one that never was. Throws RollbackError RESIDUE after 10 s. */
export async function endHeld(
  sessions: Sessions,
  { target, clock, signal }: { target: DbReader; clock: Clock; signal: AbortSignal },
  session: SessionOf,
): Promise<void> {
  let left: string[] = []
  const isGone = async (): Promise<boolean> => {
    left = await sessions.end(target, session)
    return left.length === 0
  }
  if (!(await until(isGone, { clock, ms: GONE_MS, signal, pauses: [5, 250] })))
    throw new RollbackError('RESIDUE', `the session that holds it does not end (pid ${left.join(', ')})`)
}
