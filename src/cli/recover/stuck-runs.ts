/** What `chaos recover` shows of runs that it could not undo. Read from the journals, whoever has tried. */
import type { Report } from '../../core/report.ts'
import type { Blocked } from '../../supervisor/blocked.ts'
import { stuckRun } from '../../engine/stuck.ts'
import type { StuckRun } from '../../engine/stuck.ts'
import { peekStateDir } from '../../journal/state-dir.ts'
import type { Context } from '../context.ts'
import { pageLines } from './page.ts'

/** Of the given runs those that are open; each with the reason why it could not be tried at all, where there is one. */
export async function stuckRuns(
  context: Context,
  stateDir: string,
  runs: ReadonlyMap<string, string | undefined>,
): Promise<StuckRun[]> {
  if (runs.size === 0) return []
  const { runs: journals } = await peekStateDir(stateDir)
  const targets = await context.targets()
  const found: StuckRun[] = []
  for (const journal of await journals.list()) {
    const { run } = journal
    const stuck = runs.has(run) ? await stuckRun(journals, journal, targets, runs.get(run)) : undefined
    if (stuck) found.push(stuck)
  }
  return found
}

/** A run with a report was tried step by step, and each says for itself what keeps it. */
export function reasonsOf(blocked: readonly Blocked[], reports: readonly Report[]): Map<string, string | undefined> {
  const tried = new Set(reports.map(({ run }) => run))
  return new Map(blocked.map(({ run, reason }) => [run, tried.has(run) ? undefined : reason]))
}

export function showPages(context: Context, stuck: readonly StuckRun[], options: { stateDir?: string }): void {
  for (const run of stuck) {
    const lines = pageLines(run, options.stateDir)
    if (lines.length > 0) context.out(`\n${lines.join('\n')}\n`)
  }
}

/** For machines; lines that hold values are written by `--by-hand` only. */
export function shownOf({ steps, ...run }: StuckRun): object {
  const shown = steps.map(({ by_hand, ...step }) => ({
    ...step,
    ...(by_hand.holdsValues ? {} : { commands: by_hand.lines }),
  }))
  return { ...run, steps: shown }
}
