/** Journals as files: `<state>/journal/<run>.jsonl`, and those in which a run went on after an error of the disk. */
import { basename, join } from 'node:path'
import { JournalError } from '../core/errors.ts'
import type { Disk } from './disk.ts'
import { FileJournal } from './file-journal.ts'
import { emptyFileState } from './file-state.ts'
import type { FileState, FileStep } from './file-state.ts'
import type { RunState } from './journal.ts'
import { partFile, partOf, partsOf } from './parts.ts'
import { loadStep, notRead, readJournal } from './read-journal.ts'
import type { Runs } from './runs.ts'
import { ASIDE, pruneAside, setFilesAside } from './set-aside.ts'
import { namesIn } from './state-files.ts'

/** `makeRoom` is called when the disk is full; it frees what was put by for an undo. */
export function fileRuns(folder: string, disk: Disk, makeRoom: () => Promise<unknown>): Runs {
  const where = (run: string, part = 1): string => partFile(join(folder, `${run}.jsonl`), part)
  return {
    where,
    create: (run) => FileJournal.create(where(run), disk, makeRoom),
    resume: (run) => FileJournal.resume(where(run), disk, makeRoom),
    read: (run) => readJournal(where(run), disk),
    load: (run, step: FileStep) => loadStep(where(run), step, disk),
    async list(only) {
      const states: RunState[] = []
      const runs = await runsIn(folder, disk)
      for (const run of runs.filter((one) => only === undefined || one === only)) {
        const state = await readAny(where(run), runs, disk)
        // A daemon may have ended that run, and cleared it away, since the folder was listed.
        if (!isGone(state) || (await runsIn(folder, disk)).includes(run)) states.push(state)
      }
      return states
    },
    async forget(run) {
      const names = await disk.list(folder)
      // Torn tails hold customer data too.
      const torn = names.filter(
        (name) => partOf(name.replace(/\.torn-\d+$/, ''))?.run === run && /\.torn-\d+$/.test(name),
      )
      const parts = (await partsOf(where(run), disk)).map((part) => where(run, part))
      // The newest says that the run is over: alone it is enough to go on from here after a crash.
      for (const file of [...torn.map((name) => join(folder, name)), ...parts.slice(0, -1)]) await disk.remove(file)
      if (torn.length + parts.length > 1) await disk.syncFolder(folder)
      for (const file of parts.slice(-1)) await disk.remove(file)
      await disk.syncFolder(folder)
    },
    /** The first file last, so that a crash in between leaves a run that is still damaged. */
    async setAside(run, now) {
      const parts = (await partsOf(where(run), disk)).reverse()
      const names = parts.map((part) => basename(where(run, part)))
      return setFilesAside(folder, names, disk, now)
    },
    async setAsideAt(run) {
      const names = await disk.list(folder)
      const aside = names.find((name) => ASIDE.test(name) && partOf(name.replace(ASIDE, ''))?.run === run)
      return aside === undefined ? undefined : Number(ASIDE.exec(aside)?.[1])
    },
    prune: (olderThanMs, now) => pruneAside(folder, disk, olderThanMs, now),
  }
}

/** Oldest first: run ids begin with their time. */
async function runsIn(folder: string, disk: Disk): Promise<string[]> {
  const names = await namesIn(folder, '.jsonl', disk)
  return [...new Set(names.flatMap((name) => partOf(name)?.run ?? []))].sort()
}

/** `runs`: those that have a journal. */
async function readAny(file: string, runs: readonly string[], disk: Disk): Promise<FileState> {
  try {
    return refuseForeign(await readJournal(file, disk), runs)
  } catch (error) {
    if (!(error instanceof JournalError) || error.code === 'JOURNAL_NEWER') throw error
    return { ...emptyFileState(file), damage: [notRead(error, file)] }
  }
}

function isGone({ damage }: RunState): boolean {
  return damage.length === 1 && damage[0]?.unreadable?.code === 'ENOENT'
}

/** A copy, or a file that was renamed: nobody knows whether it still counts, and undoing it would be that of another run. */
function refuseForeign({ started, ...state }: FileState, runs: readonly string[]): FileState {
  if (!started || started.run === state.run) return started ? { ...state, started } : state
  const reason = `it is the journal of run ${started.run}: rename it to ${started.run}.jsonl, or remove it where that one is there too`
  const foreign = { run: started.run, there: runs.includes(started.run) }
  return { ...state, damage: [{ offset: 0, reason, foreign }, ...state.damage] }
}
