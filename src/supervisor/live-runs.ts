/** Which runs of a state folder must not be swept: those with a living worker, and those whose journal is to be undone. */
import type { Runs } from '../journal/runs.ts'
import { isAlive, readHolder } from './lock.ts'

/** `path`: the state folder. */
export function liveRuns({ path, runs }: { path: string; runs: Runs }): (run: string) => Promise<boolean> {
  return async (run) => {
    // A worker stands in the note before it gets its job, and leaves it after its journal is gone or says what is pending.
    for (const worker of (await readHolder(path))?.workers ?? [])
      if (worker.run === run && (await isAlive(worker))) return true
    return (await runs.list()).some((journal) => journal.run === run)
  }
}
