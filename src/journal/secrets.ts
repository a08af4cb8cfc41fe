/** The secrets of open runs: the target_config that each was started with, so that it can be undone by whoever comes next. */

export interface Secrets {
  /** Durable when it resolves, and readable for its owner alone. */
  keep(run: string, targetConfig: unknown): Promise<void>
  /** Undefined where there is none. Rejects with JOURNAL_READ, and quotes nothing of it, where it cannot be read. */
  read(run: string): Promise<unknown>
  /** The runs that have one. */
  list(): Promise<string[]>
  forget(run: string): Promise<void>
  /** Keeps that of a run whose journal is set aside; returns where, nothing where there is none. */
  setAside(run: string, now: number): Promise<string[]>
  /** Removes what was set aside longer ago than so many milliseconds. */
  prune(olderThanMs: number, now: number): Promise<void>
}
