/** When the digest is told: on its schedule, each time of what has happened since it was last told. */
import { join } from 'node:path'
import { parse } from 'node-cron'
import { slept } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'
import { cron } from '../schedule/cron.ts'
import type { Digest } from '../core/digest.ts'
import { messageOf } from '../core/errors.ts'
import type { ChaosEvent } from '../core/events.ts'
import { openZone } from '../schedule/zone.ts'
import { replaceAsOwner } from '../journal/owner.ts'
import { readRegular, SMALL_BYTES } from '../journal/regular.ts'

export interface DigestScheduleOptions {
  stateDir: string
  clock: Clock
  /** The first due time after this one, milliseconds since the epoch; undefined when there is none. */
  next(after: number): number | undefined
  read(since: number, until: number): Promise<Digest>
  emit(event: ChaosEvent & { type: 'digest' | 'warning' }): void
  stop: AbortSignal
}

const DAY_MS = 24 * 3_600_000
/** A digest that was not told for longer does not go back for ever. */
const LONGEST_MS = 31 * DAY_MS
/** The wall clock is looked at this often: it may be set while we wait. */
const LOOK_MS = 60_000

/** Resolves when it is stopped, or when no due time comes any more. */
export async function startDigest(options: DigestScheduleOptions): Promise<void> {
  const { clock, next, stop } = options
  let due = next(clock.now())
  while (due !== undefined && (await reached(due, clock, stop))) {
    await tell(options)
    // Also when the clock has been set back meanwhile: no time comes twice.
    due = next(Math.max(due, clock.now()))
  }
}

async function tell({ stateDir, clock, read, emit }: DigestScheduleOptions): Promise<void> {
  const until = clock.now()
  const at = new Date(until).toISOString()
  try {
    const last = await lastTold(stateDir)
    const since = last === undefined || last > until ? until - DAY_MS : Math.max(last, until - LONGEST_MS)
    emit({ type: 'digest', at, digest: await read(since, until) })
    await writeLastTold(stateDir, until)
  } catch (error) {
    emit({ type: 'warning', code: 'digest', at, message: `no digest: ${messageOf(error)}` })
  }
}

/** False when it was told to stop meanwhile. */
async function reached(due: number, clock: Clock, stop: AbortSignal): Promise<boolean> {
  for (let left = due - clock.now(); left > 0; left = due - clock.now()) {
    if (!(await slept(clock, Math.min(left, LOOK_MS), stop))) return false
  }
  return !stop.aborted
}

/** `<state>/digest.json`, so that a restart leaves nothing out and tells nothing twice. */
async function lastTold(stateDir: string): Promise<number | undefined> {
  const text = String(await readRegular(join(stateDir, 'digest.json'), SMALL_BYTES).catch(() => ''))
  const at = Date.parse(/"told_until":"([^"]+)"/.exec(text)?.[1] ?? '')
  return Number.isNaN(at) ? undefined : at
}

async function writeLastTold(stateDir: string, until: number): Promise<void> {
  const told = { told_until: new Date(until).toISOString() }
  await replaceAsOwner(join(stateDir, 'digest.json'), `${JSON.stringify(told)}\n`)
}

/** A time that the clocks are set forward over is told when they are. */
export function nextByCron(expression: string, timezone: string): (after: number) => number | undefined {
  const due = cron(parse(expression), openZone(timezone))
  return (after) => due.next(after)?.at
}
