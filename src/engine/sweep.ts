/** The sweep: finds what carries our marks on a target without asking any journal, and ends what belongs to no live run. */
import type { Agent, Leftover } from '../core/target.ts'
import { readMark } from '../core/skill.ts'

export interface SweepInput {
  agent: Agent
  /** Whose marks are ended, which is the install that the agent was connected as; nothing is ended when absent. */
  remove?: string
  /** Whose marks are listed; everybody's when absent. */
  of?: string
  /** Asked after the listing: a run that is not live then has ended. */
  isLive(run: string): Promise<boolean>
  /** Younger ones are left: sessions of `--dry-run` and `discover` belong to no run in the list of live runs. */
  olderThanMs: number
  signal: AbortSignal
}

/** What was found. */
export interface Swept extends Leftover {
  install: string
  run: string
  /** A run that is going on, or that a recovery has to undo first. */
  live: boolean
  removed: boolean
}

export async function sweep({ agent, remove, of, isLive, olderThanMs, signal }: SweepInput): Promise<Swept[]> {
  const found = (await agent.sweep(of, signal)).flatMap((leftover) => {
    const mark = readMark(leftover.mark)
    return mark ? [{ ...leftover, install: mark.install, run: mark.run, live: false, removed: false }] : []
  })
  const live = new Map<string, boolean>()
  for (const { run } of found) if (!live.has(run)) live.set(run, await isLive(run))
  for (const one of found) one.live = live.get(one.run) ?? false
  const due = found.filter((one) => one.install === remove && !one.live && (one.age_ms ?? Infinity) >= olderThanMs)
  for (const run of new Set(due.map((one) => one.run))) {
    // Everything of that run, and nothing else: it waits until it is gone.
    await agent.quiesce(run, signal)
  }
  if (due.length === 0) return found
  // A lease stays until it runs out: only a journal has the key that shows it to be ours.
  const left = new Set((await agent.sweep(remove, signal)).map(keyOf))
  const asked = new Set(due.map((one) => one.run))
  for (const one of found) one.removed = asked.has(one.run) && one.install === remove && !left.has(keyOf(one))
  return found
}

function keyOf({ mark, kind, describe }: Leftover): string {
  return JSON.stringify([mark, kind, describe])
}
