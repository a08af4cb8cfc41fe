/** A journal that another installation has written: copied here, or put here, while its run may be going on there. */
import { RollbackError } from '../core/errors.ts'
import { readMark } from '../core/skill.ts'
import type { Agent } from '../core/target.ts'
import type { RunStarted } from '../journal/journal.ts'

/** How many of them are named. */
const NAMED = 3

/**
 * Throws while anything of the run is alive on its target: sessions and leases of another installation's run are not ours to
 * end, and what it has changed is in use. A folder that was moved has kept its own install id.
 */
export async function refuseAlive(
  agent: Agent,
  { install, run }: RunStarted,
  own: string,
  signal: AbortSignal,
): Promise<void> {
  if (install === own) return
  const alive = (await agent.sweep(install, signal)).filter(({ mark }) => readMark(mark)?.run === run)
  if (alive.length === 0) return
  const more = alive.length > NAMED ? ` and ${alive.length - NAMED} more` : ''
  const names = alive.slice(0, NAMED).map(({ kind, describe, mark }) => `${kind} ${describe} (${mark})`)
  throw new RollbackError(
    'RESIDUE',
    `run ${run} is of the installation ${install}, and this is ${own}: it is left to its own while anything of it is alive: ${names.join(', ')}${more}. When that installation is gone for good, end that with chaos sweep --remove --install ${install}, then recover`,
  )
}
