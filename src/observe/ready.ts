/** Whether the daemon does its work, and if not, why. */
import { counted } from '../core/counted.ts'
import { messageOf } from '../core/errors.ts'
import type { DaemonStatus } from '../core/status.ts'
import { atMost } from '../core/within.ts'

/** A disk that does not answer for so long does not count as writable. */
const WRITE_MS = 2_000

/** Empty when it is ready. Runs that are not undone and a freeze are not among the reasons: it does its work all the same. */
export async function notReady(status: DaemonStatus | undefined, canWrite: () => Promise<void>): Promise<string[]> {
  const reasons = status === undefined ? ['it is starting'] : statusReasons(status)
  const problem = await writeProblem(canWrite)
  return problem === undefined ? reasons : [...reasons, problem]
}

function statusReasons({ ready, stopping, running }: DaemonStatus): string[] {
  if (stopping !== undefined) return [`it is stopping (${stopping}); undoing ${counted(running.length, 'run')}`]
  return ready ? [] : ['it is recovering what an earlier process left']
}

async function writeProblem(canWrite: () => Promise<void>): Promise<string | undefined> {
  const late = `the disk of the state folder has not answered for ${WRITE_MS / 1_000} s`
  const write = (): Promise<string | undefined> =>
    canWrite().then(
      () => undefined,
      (error: unknown) => `the state folder cannot be written: ${messageOf(error)}`,
    )
  return atMost(WRITE_MS, write, () => late)
}
