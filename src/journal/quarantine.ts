/**
 * Undos that kill whoever tries them, counted from the journal alone: a worker that died in the middle of an undo cannot
 * say so, but its record of having begun stands there with nothing after it. The third such death since the machine was
 * started is the last: the step is quarantined until a person says `--retry`, or the machine is started anew.
 */
import type { ErrorCode } from '../core/errors.ts'

/** Deaths in one boot of the machine after which an undo is not tried any more. */
const MOST_DEATHS = 3

/** How the attempts to undo a step have ended since the machine was started. */
export interface Tries {
  /** Of the kernel; with another one the count begins anew. */
  boot: string
  deaths: number
  /** The newest attempt has not been seen to end: it is under way, or its process is dead. */
  open: boolean
}

export interface Quarantine {
  /** Since when, ISO 8601. */
  at: string
  boot: string
  error: string
}

/** How the attempts to undo a step have ended; part of its state. */
export interface Tried {
  tries?: Tries
  /** It is not tried any more on this boot of the machine. */
  quarantined?: Quarantine
  /** What the last attempt said that ended by itself. */
  revert_error?: string
  /** Of that error. */
  revert_code?: ErrorCode
}

/** An attempt begins, whatever was decided before. Where the machine has no boot id nothing is counted, and everything is tried. */
export function tryBegins(step: Tried, boot: string | undefined): void {
  tryDied(step)
  const deaths = step.tries?.boot === boot ? (step.tries?.deaths ?? 0) : 0
  delete step.tries
  delete step.quarantined
  if (boot !== undefined) step.tries = { boot, deaths, open: true }
}

/** It ended by itself, well or not. */
export function tryEnds({ tries }: Tried): void {
  if (tries) tries.open = false
}

/** Somebody else goes on, so whoever was at it is dead. */
export function tryDied({ tries }: Tried): void {
  if (!tries?.open) return
  tries.deaths += 1
  tries.open = false
}

/** A person wants it tried again. One more death is then enough to quarantine it again. */
export function release(step: Tried): void {
  tryDied(step)
  if (step.tries) step.tries.deaths = Math.min(step.tries.deaths, MOST_DEATHS - 1)
  delete step.quarantined
}

/** Whether an attempt has died, or may have: only then does `--retry` change anything. */
export function hasDied({ tries, quarantined }: Tried): boolean {
  return quarantined !== undefined || (tries !== undefined && (tries.open || tries.deaths > 0))
}

/** Why it must not be tried on this boot of the machine; undefined when it may be. */
export function whyNotTried({ tries, quarantined, revert_error: last }: Tried, boot?: string): string | undefined {
  if (boot === undefined) return undefined
  if (quarantined?.boot === boot) return quarantined.error
  if (tries?.boot !== boot || tries.deaths < MOST_DEATHS) return undefined
  const before = last === undefined ? '' : `; the last error that it could report was: ${last}`
  return `quarantined: its undo has ended its worker ${tries.deaths} times since this machine was started, and is not tried again by itself${before}`
}
