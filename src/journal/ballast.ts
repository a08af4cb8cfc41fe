/** Room that is put by for undos, so that an undo never waits for space. No run begins without it. */
export interface Ballast {
  /** Sees to it that it is there. Rejects with JOURNAL_WRITE when there is no room for it. */
  make(): Promise<void>
  /** Gives its room back; false when there was none. */
  free(): Promise<boolean>
  /** Does the work, and once more with the ballast's room when the disk was full. */
  withRoom(work: () => Promise<void>): Promise<void>
}
