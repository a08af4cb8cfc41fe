/** What reading the files of a run gives: what its journal says, and where in the files that stands. */
import { basename } from 'node:path'
import { CHAIN_START } from './format.ts'
import type { RunState, StepState } from './journal.ts'

/** Where a record stands. */
export interface Position {
  /** 1 is the run's first file; more where it went on after an error of the disk. */
  part: number
  offset: number
  length: number
}

/** Payloads stay in the file and are found by their positions. */
export interface FileStep extends StepState {
  planned: Position
  facts: Position[]
}

export interface FileState extends RunState {
  /** The run's first; `part` says which is its newest. */
  file: string
  part: number
  /** False when the newest could not be read to its end: nothing may be written to it. */
  readable: boolean
  steps: FileStep[]
  /** In the newest file, where the next record goes: before it are records, and damage that stays where it is. */
  goodLength: number
  /** What follows: what a crash leaves of a write that was never acknowledged. */
  tornBytes: number
  lastCrc: string
  lastSeq: number
}

/** Of files of which nothing has been read. */
export function emptyFileState(file: string): FileState {
  return {
    ...{ run: runOfFile(file), file, part: 1, readable: false, steps: [], damage: [] },
    ...{ goodLength: 0, tornBytes: 0, lastCrc: CHAIN_START, lastSeq: 0 },
  }
}

/** `file`: the first of the run. */
export function runOfFile(file: string): string {
  return basename(file, '.jsonl')
}
