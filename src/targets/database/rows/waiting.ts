/** Work that may wait for a lock: when it gives up, the error says who held it. */
import { messageOf, StepError } from '../../../core/errors.ts'
import type { Blockers, ErrorKind } from '../dialect.ts'

/** The server gave up waiting, or was told to. */
export function gaveUp(kind: ErrorKind | undefined): boolean {
  return kind === 'locked' || kind === 'timeout'
}

/** Runs what may wait for a lock, while `blockers` look whom it waits for. */
export async function namingBlockers<T>(
  blockers: Blockers,
  kindOf: (error: unknown) => ErrorKind | undefined,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const holders = blockers.seen().join(', ')
    if (holders === '' || !gaveUp(kindOf(error))) throw error
    throw new StepError('STEP_FAILED', `${holders} holds what we wait for: ${messageOf(error)}`, { cause: error })
  } finally {
    await blockers.stop()
  }
}
