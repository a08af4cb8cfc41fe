/** What is removed from several places at once, in the order that a crash in between allows. */
import type { History } from './history.ts'
import type { Runs } from './runs.ts'
import type { Secrets } from './secrets.ts'

/** The secret goes last: for as long as there is a journal it may be needed. */
export async function forgetRun({ runs, secrets }: { runs: Runs; secrets: Secrets }, run: string): Promise<void> {
  await runs.forget(run)
  await secrets.forget(run)
}

/** Removes secrets without a journal: a crash came before the first record. Only while no run is beginning. */
export async function forgetLostSecrets({ runs, secrets }: { runs: Runs; secrets: Secrets }): Promise<void> {
  // In this order: a run that begins meanwhile has no secret in the list.
  const kept = await secrets.list()
  if (kept.length === 0) return
  // Where a newer version has been, what looks lost may be its own: that throws.
  const open = new Set(
    // A journal that was renamed is still the journal of that run.
    (await runs.list()).flatMap(({ run, damage }) => [run, ...damage.flatMap(({ foreign }) => foreign?.run ?? [])]),
  )
  for (const run of kept) {
    if (open.has(run)) continue
    const at = await runs.setAsideAt(run)
    // Where it was set aside, a crash came before its secret was.
    if (at === undefined) await secrets.forget(run)
    else await secrets.setAside(run, at)
  }
}

/** Removes reports older than this many milliseconds, and what was set aside then: it holds customer data, and secrets. */
export async function pruneState(
  { history, runs, secrets }: { history: History; runs: Runs; secrets: Secrets },
  olderThanMs: number,
  now: number,
): Promise<void> {
  for (const kept of [history, runs, secrets]) await kept.prune(olderThanMs, now)
}
