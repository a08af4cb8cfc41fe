/** The journals of runs, wherever they are kept: what the engine writes before it acts, and reads before it undoes. */
import type { Journal, RunState, StepState } from './journal.ts'

export interface Runs {
  /** A new, empty journal. Rejects with JournalError where it cannot be made. */
  create(run: string): Promise<Journal>
  /** Goes on with the journal that is there. */
  resume(run: string): Promise<Journal>
  /** Rejects with JournalError where nothing of it can be read, or a newer version has written it. */
  read(run: string): Promise<RunState>
  /** The data of a step that `read` or `list` has returned, with every fact recorded since. */
  load(run: string, step: StepState): Promise<object>
  /**
   * The journals that are there, oldest first. A run stays open until its journal says `run.finished`. One that cannot be
   * read is all damage, so that it does not keep the others from being undone; a newer format rejects with JOURNAL_NEWER.
   * With `only` that run alone.
   */
  list(only?: string): Promise<RunState[]>
  /** What a person opens to read it; of one of its parts where it has several. */
  where(run: string, part?: number): string
  /** Removes what holds before-images of customer rows. Only of a run that is over. */
  forget(run: string): Promise<void>
  /** Keeps a damaged journal where no reader takes it for one; returns where. */
  setAside(run: string, now: number): Promise<string[]>
  /** When the journal of a run was set aside, in milliseconds since the epoch; undefined where it was not. */
  setAsideAt(run: string): Promise<number | undefined>
  /** Removes what was set aside longer ago than so many milliseconds. */
  prune(olderThanMs: number, now: number): Promise<void>
}
