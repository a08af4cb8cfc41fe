/** Which runs of a state folder must not be swept: those with a living worker, and those whose journal is to be undone. */
import { basename } from 'node:path'
import type { StateDir } from '../journal/state-dir.ts'
import { isAlive, readHolder } from './lock.ts'

export function liveRuns(state: StateDir): (run: string) => Promise<boolean> {
  return async (run) => {
    // A worker stands in the note before it gets its job, and leaves it after its journal is gone or says what is pending.
    for (const worker of (await readHolder(state.path))?.workers ?? [])
      if (worker.run === run && (await isAlive(worker))) return true
    return (await state.journals()).some((journal) => basename(journal.file, '.jsonl') === run)
  }
}
