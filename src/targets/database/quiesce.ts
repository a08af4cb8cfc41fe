/** Ends the sessions of a run, and waits until they are gone. What only has their name is left alone and named. */
import type { Clock } from '../../core/clock.ts'
import { RollbackError } from '../../core/errors.ts'
import { until } from '../../core/until.ts'
import type { MarkedSession, Server } from './verbs/server.ts'

/** How long a session may take to go that was told to end. */
const ENDING_MS = 30_000
/** How long one of our role that nothing shows to be ours may take. Ours is like that while it ends, and before it has done anything. */
const DOUBT_MS = 1_000

/**
 * Resolves with a word about each session that has such a name and cannot be shown to be ours. Throws RollbackError RESIDUE
 * where one of ours does not go; a stranger's is never waited for longer than a second.
 */
export async function endSessions(
  server: Pick<Server, 'endMarked'>,
  prefix: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string[]> {
  const begun = clock.monotonic()
  /** By process, when each began that was told to end: it lets go of what shows that it is ours before it is gone. */
  const told = new Map<string, string>()
  let left: MarkedSession[] = []
  const strangersAlone = async (): Promise<MarkedSession[] | undefined> => {
    const found = await server.endMarked(
      prefix,
      [...told].map(([pid, start]) => ({ pid, start })),
    )
    left = found.filter((one) => one.ours)
    const strangers = found.filter((one) => !one.ours)
    for (const { pid, start } of left) told.set(pid, start)
    const isOver = clock.monotonic() - begun > DOUBT_MS || strangers.every((one) => !one.ownRole)
    return left.length === 0 && isOver ? strangers : undefined
  }
  const strangers = await until(strangersAlone, { clock, ms: ENDING_MS, signal, pauses: [5, 250] })
  if (strangers) return strangers.map(({ pid, role, name }) => `session ${pid} of role ${role} (${name})`)
  const names = left.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ')
  throw new RollbackError('RESIDUE', `sessions of this run do not end: ${names}; end them on the server`)
}
